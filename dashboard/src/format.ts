// Words and numbers for people. Foreign text is made visible, never obeyed.

/** Control and direction-changing characters become visible escapes. */
export function clean(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (c) => `\\u{${c.charCodeAt(0).toString(16)}}`,
  );
}

/** `1,234,567`. */
export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en-US");
}

/** `820 ms`, `3.4 s`, `2 min 05 s`, `3 h 12 min`, `4 d 3 h`. */
export function millis(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  const s = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** `1 risk`, `2 risks`. */
export function plural(n: number, one: string): string {
  return `${count(n)} ${one}${n === 1 ? "" : "s"}`;
}

/** How long ago, as coarse as people speak of ages: `48 s`, `12 min`, `2 h 5 min`, `3 d 4 h`. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** The age of an RFC 3339 time. */
export function since(at: string): string {
  const time = new Date(at).getTime();
  return Number.isNaN(time) ? clean(at) : age(Date.now() - time);
}

/** `0.42 ms` from microseconds. */
export function micros(us: number | null | undefined): string {
  if (us === null || us === undefined) return "–";
  if (us < 10_000) return `${(us / 1000).toFixed(2)} ms`;
  if (us < 1_000_000) return `${(us / 1000).toFixed(1)} ms`;
  return millis(us / 1000);
}

/** `3.4 MB`, powers of 1000. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit + 1 < units.length) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 || value >= 100 ? `${Math.floor(value)} ${units[unit]}` : `${(Math.floor(value * 10) / 10).toFixed(1)} ${units[unit]}`;
}

/** A share as percent; never reads 100 before it is all of it. */
export function percent(done: number, total: number): string {
  if (total <= 0) return "–";
  if (done >= total) return "100 %";
  return `${Math.min(99.9, Math.floor((done / total) * 1000) / 10).toFixed(1)} %`;
}

/** Words for snake_case names. */
export function words(name: string): string {
  return clean(name).replaceAll("_", " ");
}

/** `14:03:09` in the reader's time zone. */
export function clock(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? clean(iso) : date.toLocaleTimeString("en-GB");
}
