// The documents of the API that the page reads. `test/fixtures` are written by the Rust types
// and checked against these by the compiler, so the two cannot drift apart.

/** `source` or `target`; a string, so that the fixtures are checked as JSON is typed. */
export type SideName = string;

export interface Waiting {
  kind: string;
  what: string;
  since: string;
  who: string;
  command?: string;
}

export interface AllowedAction {
  verb: string;
  allowed: boolean;
  why_not?: string;
  blast_radius: string;
  command: string;
}

export interface NextStep {
  command: string;
  why: string;
}

export interface Warning {
  code: string;
  message: string;
}

export interface Envelope<T> {
  state_version: number;
  waiting_on?: Waiting;
  allowed_actions: AllowedAction[];
  warnings: Warning[];
  next_steps: NextStep[];
  data: T;
}

export interface RunEvent {
  id: number;
  at: string;
  migration?: string;
  kind: string;
  severity: string;
  message: string;
  payload: unknown;
}

export interface PhaseMark {
  phase: string;
  state: string;
}

export interface SideLatency {
  side: string;
  p50_us: number;
  p99_us: number;
  p999_us: number;
  requests: number;
}

export interface DatasetProgress {
  name: string;
  state: string;
  records: number;
  total: number;
  verified: number;
  failed: number;
}

export interface Status {
  migration: string;
  run?: string;
  environment: string;
  family: string;
  strategy: string;
  at: string;
  state_version: number;
  live: boolean;
  writes: {
    authority: SideName;
    epoch: number;
    policy: string;
    frozen: boolean;
    following: string;
    lag_ms: number;
    rate: number;
    tenants_moved: string[];
    measured_by: { agreeing: number; of: number };
  };
  reads: {
    mode: string;
    asked_percent: number;
    observed_percent?: number;
    pinned_sessions: number;
    pins: number;
    secondary_ready: boolean;
    rate: number;
  };
  undo: {
    ready: boolean;
    reason: string;
    estimated_ms?: number;
    writes_at_risk: number;
    last_rehearsal?: { at: string; passed: boolean; pause_ms: number[]; stale: boolean };
    window_ends?: string;
  };
  phase: {
    phase?: string;
    step: string;
    title: string;
    state: string;
    since: string;
    bar: PhaseMark[];
    soak_left_s?: number;
    cause?: string;
  };
  waiting_on?: Waiting;
  allowed_actions: AllowedAction[];
  next_steps: NextStep[];
  warnings: Warning[];
  checks: {
    pass: number;
    advice: number;
    risk: number;
    blocker: number;
    not_run: number;
    waived: number;
    running: boolean;
    age_s?: number;
  };
  data: {
    state: string;
    records: number;
    total: number;
    percent: number;
    rate: number;
    bytes: number;
    eta?: { low_s: number; high_s: number };
    current?: string;
    conflicts: number;
    failed: number;
    datasets: DatasetProgress[];
  };
  divergence: {
    open: number;
    suspected: number;
    by_state: Record<string, number>;
    by_class: Record<string, number>;
    last_verify?: string;
    verify: string;
    verify_percent?: number;
    consistency_percent?: number;
    compared_reads: number;
    reads_not_there_yet: number;
  };
  source: {
    reachable: boolean;
    target_reachable: boolean;
    source_trouble?: string;
    target_trouble?: string;
    ping_ms?: number;
    p99_change_percent?: number;
    throttle_percent: number;
    throttle_reason?: string;
    client_errors_per_min: number;
    direct_sessions?: number;
  };
  endpoints: Endpoint[];
  queue: { depth: number; bulk: number; in_flight: number; oldest_ms: number; parked: number };
  latency: SideLatency[];
  events: RunEvent[];
}

export interface Endpoint {
  side: SideName;
  address: string;
  product?: string;
  memory_used?: number;
  memory_max?: number;
}

export interface MigrationSummary {
  id: string;
  family: string;
  environment: string;
  strategy: string;
  phase?: string;
  step: string;
  state: string;
  authority: SideName;
  epoch: number;
  undo_ready: boolean;
  divergence_open: number;
  parked: number;
  waiting_on?: Waiting;
  since: string;
  state_version: number;
}

export interface VerbInfo {
  name: string;
  summary: string;
  blast_radius: string;
  roles: string[];
  dangerous: boolean;
  reason_required: boolean;
  if_match: boolean;
  args: string[];
}

export interface VerbOutcome {
  verb: string;
  applied: boolean;
  effects: { what: string; touches: string; estimated_ms?: number }[];
  undo?: string;
  message: string;
}

export interface Problem {
  code: string;
  detail: string;
  impact?: string;
  fix: string;
  state_version?: number;
}

export interface Samples {
  at: number[];
  series: Record<string, (number | null)[]>;
}

/** What a verb is asked to do. */
export interface VerbRequest {
  reason?: string;
  args?: Record<string, unknown>;
  dry_run: boolean;
  yes: boolean;
  typed_name?: string;
}
