// History the server keeps by itself: requests, latency, queue. Marks every event that changed
// something. Series are told apart by dash pattern and label, not by colour alone.

import uPlot from "uplot";

import { h, put, say } from "../dom";
import { clock } from "../format";
import type { RunEvent, Samples } from "../model";

interface Line {
  /** Names the server may give the series; the first that is there is drawn. */
  names: string[];
  label: string;
  dash: number[];
}

interface Chart {
  title: string;
  unit: string;
  lines: Line[];
}

const CHARTS: Chart[] = [
  {
    title: "Requests per second",
    unit: "/s",
    lines: [
      { names: ["reads_per_s", "reads"], label: "reads", dash: [] },
      { names: ["writes_per_s", "writes"], label: "writes", dash: [6, 4] },
    ],
  },
  {
    title: "p99, milliseconds",
    unit: "ms",
    lines: [
      { names: ["source_p99_ms", "p99_source_ms"], label: "source", dash: [] },
      { names: ["target_p99_ms", "p99_target_ms"], label: "target", dash: [6, 4] },
    ],
  },
  {
    title: "Waiting for the other side",
    unit: "records",
    lines: [
      { names: ["queue_depth"], label: "queue", dash: [] },
      { names: ["lag_ms", "queue_oldest_ms"], label: "oldest, ms", dash: [6, 4] },
    ],
  },
];

const HEIGHT = 140;
const NOTABLE = new Set(["authority_moved", "phase_entered", "step_entered", "rolled_back", "cutover_done", "cutover_undone"]);

export interface Charts {
  element: HTMLElement;
  draw(samples: Samples, events: RunEvent[]): void;
}

export function charts(): Charts {
  const note = h("p", { class: "chart-note" }, "No sample yet.");
  const place = h("div", { class: "charts" });
  const element = h("section", { class: "card", "aria-label": "History" }, h("h2", {}, "History"), note, place);
  let plots: { plot: uPlot; chart: Chart; names: string[] }[] = [];
  let shape = "";
  let marks: number[] = [];

  new ResizeObserver(() => {
    const width = columnWidth(place);
    for (const { plot } of plots) plot.setSize({ width, height: HEIGHT });
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (shape = ""));

  return {
    element,
    draw(samples, events) {
      marks = events.filter((e) => NOTABLE.has(e.kind)).map((e) => new Date(e.at).getTime() / 1000);
      const found = CHARTS.map((chart) => ({
        chart,
        names: chart.lines.flatMap((l) => l.names.find((n) => n in samples.series) ?? []),
      })).filter((f) => f.names.length > 0);
      const next = JSON.stringify(found.map((f) => f.names));
      if (next !== shape) {
        shape = next;
        for (const { plot } of plots) plot.destroy();
        put(place);
        plots = found.map(({ chart, names }) => {
          const box = h("figure", {}, h("figcaption", {}, chart.title));
          place.append(box);
          return { plot: new uPlot(options(chart, names, columnWidth(place), () => marks), [[]], box), chart, names };
        });
      }
      for (const { plot, names } of plots) {
        plot.setData([samples.at, ...names.map((n) => samples.series[n] ?? [])] as uPlot.AlignedData);
      }
      const first = samples.at[0];
      const last = samples.at.at(-1);
      const minutes = first === undefined || last === undefined ? 0 : Math.round((last - first) / 60);
      say(note, samples.at.length === 0 ? "No sample yet." : `the last ${minutes} min; upright lines are transitions`);
    },
  };
}

function columnWidth(place: HTMLElement): number {
  return Math.max(240, Math.min(640, place.clientWidth - 4));
}

function options(chart: Chart, names: string[], width: number, marks: () => number[]): uPlot.Options {
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim();
  const faint = css.getPropertyValue("--line").trim();
  const strokes = [css.getPropertyValue("--source").trim(), css.getPropertyValue("--target").trim()];
  const lines = chart.lines.filter((l) => l.names.some((n) => names.includes(n)));
  const axis = { stroke: ink, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint }, font: "11px system-ui" };
  return {
    width,
    height: HEIGHT,
    cursor: { y: false },
    legend: { live: true },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [{ ...axis, values: (_, at) => at.map((s) => clock(new Date(s * 1000).toISOString())) }, { ...axis, size: 64 }],
    series: [
      {},
      ...lines.map((l, i) => ({ label: l.label, stroke: strokes[i] ?? ink, width: 1.5, dash: l.dash, points: { show: false } })),
    ],
    hooks: {
      draw: [
        (u) => {
          u.ctx.save();
          u.ctx.strokeStyle = ink;
          u.ctx.setLineDash([2, 3]);
          for (const at of marks()) {
            const x = Math.round(u.valToPos(at, "x", true)) + 0.5;
            if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
            u.ctx.beginPath();
            u.ctx.moveTo(x, u.bbox.top);
            u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
            u.ctx.stroke();
          }
          u.ctx.restore();
        },
      ],
    },
  };
}
