//! Request and response types of the HTTP API, the shared truth of CLI, dashboard and metrics.
//!
//! Constraints: the only serde boundary towards clients; depends on nothing of ours. Words are the
//! snake_case wire names of the specification. Times are RFC 3339 in UTC, durations are integers
//! in milliseconds (`_ms`) or seconds (`_s`), sizes are bytes.
//!
//! Layout: `envelope` wraps every answer, `problem` every error (codes in `codes`), `verb` lists
//! everything an operator can do and who may (`role`), `status` is the document both skins show;
//! the rest are the resources.
//!
//! # Routes
//!
//! Every `/api/v1` answer that is not a stream or a file is an [`Envelope`] around the type named
//! here. Every error is a [`Problem`] (`application/problem+json`). Access is
//! `Authorization: Bearer <token>` or the session cookie of `POST /api/v1/login`.
//! `{id}` is the migration's name. Lists page by `?cursor=` and `?limit=` (at most 1,000).
//!
//! | method | path | request | data of the answer |
//! |---|---|---|---|
//! | GET | `/healthz` | | `ok` (text): the process lives |
//! | GET | `/readyz` | | [`Ready`], 503 until every interlay listens |
//! | GET | `/metrics` | | Prometheus text |
//! | GET | `/authority` | | list of [`AuthorityLine`], no envelope, no token needed on loopback |
//! | GET | `/api/v1/openapi.json` | | the OpenAPI 3.1 document, no envelope |
//! | GET | `/api/v1/whoami` | | [`Whoami`] |
//! | POST | `/api/v1/login` | [`Login`] | [`Whoami`]; sets the session cookie |
//! | POST | `/api/v1/logout` | | [`Whoami`] of nobody |
//! | GET | `/api/v1/verbs` | | list of [`VerbInfo`] |
//! | GET | `/api/v1/codes` | | list of [`CodeInfo`] |
//! | GET | `/api/v1/codes/{code}` | | [`CodePage`] |
//! | POST | `/api/v1/validate` | [`ConfigDocument`] | [`Validation`] (offline, no connection made) |
//! | GET | `/api/v1/migrations` | | list of [`MigrationSummary`] (the fleet) |
//! | POST | `/api/v1/migrations` | [`ConfigDocument`] | [`MigrationSummary`] |
//! | GET | `/api/v1/migrations/{id}` | | [`MigrationDetail`] |
//! | GET | `/api/v1/migrations/{id}/status` | | [`Status`] |
//! | GET | `/api/v1/migrations/{id}/config` | | [`ConfigView`], secrets redacted |
//! | POST | `/api/v1/migrations/{id}/plan` | [`ConfigDocument`] | [`ConfigPlan`] |
//! | POST | `/api/v1/migrations/{id}/verbs/{verb}` | [`VerbRequest`], `If-Match`, `Idempotency-Key` | [`VerbOutcome`] |
//! | GET | `/api/v1/migrations/{id}/runs` | | list of [`Run`] |
//! | GET | `/api/v1/migrations/{id}/checks` | | list of [`Check`] |
//! | GET | `/api/v1/migrations/{id}/gates` | | list of [`Gate`] |
//! | GET | `/api/v1/migrations/{id}/criteria` | | list of [`Criterion`] |
//! | GET | `/api/v1/migrations/{id}/evidence` | | list of [`Evidence`] |
//! | GET | `/api/v1/migrations/{id}/datasets` | | list of [`DatasetProgress`] |
//! | GET | `/api/v1/migrations/{id}/divergences` | `?state=&class=&cursor=&limit=` | [`Page`] of [`Divergence`] |
//! | GET | `/api/v1/migrations/{id}/divergences/export` | | JSON lines, one [`Divergence`] each |
//! | GET | `/api/v1/migrations/{id}/failures` | `?cursor=&limit=` | [`Page`] of [`Failure`] |
//! | GET | `/api/v1/migrations/{id}/queue` | | [`Queue`] |
//! | GET | `/api/v1/migrations/{id}/queue/entries` | `?cursor=&limit=&state=` | [`Page`] of [`QueueEntry`] |
//! | GET | `/api/v1/migrations/{id}/queue/export` | | JSON lines, one [`QueueEntry`] each |
//! | GET | `/api/v1/migrations/{id}/verify` | | [`VerifyState`] |
//! | GET | `/api/v1/migrations/{id}/traffic` | | [`Traffic`] |
//! | GET | `/api/v1/migrations/{id}/tenants` | | list of [`Tenant`] |
//! | GET | `/api/v1/migrations/{id}/compare` | | [`CompareReport`] |
//! | GET | `/api/v1/migrations/{id}/analysis` | | [`Analysis`] |
//! | GET | `/api/v1/migrations/{id}/samples` | `?from=&to=` (unix seconds) | [`Samples`], 5 s apart, 24 h kept |
//! | GET | `/api/v1/migrations/{id}/runbook` | | Markdown |
//! | GET | `/api/v1/migrations/{id}/reports/{kind}` | `assessment` or `final`, `?format=json\|html` | [`Report`] or HTML |
//! | GET | `/api/v1/migrations/{id}/bundle` | | a tar file |
//! | GET | `/api/v1/endpoints` | | list of [`Endpoint`] |
//! | GET | `/api/v1/interlays` | | list of [`Interlay`] |
//! | GET | `/api/v1/events` | `?migration=&kind=&after=&limit=&from=` | SSE of [`Event`] for `Accept: text/event-stream` (resumes by `Last-Event-ID`, comment heartbeat every 15 s), else [`Page`] of [`Event`] |
//! | GET | `/api/v1/audit` | `?migration=&cursor=&limit=` | [`Page`] of [`AuditEntry`] |
//! | GET | `/api/v1/audit/verify` | | [`AuditVerdict`] |
//! | GET | `/api/v1/tokens` | | list of [`Token`] |
//! | POST | `/api/v1/tokens` | [`NewToken`] | [`IssuedToken`] (the only time the secret is shown) |
//! | DELETE | `/api/v1/tokens/{token_id}` | | [`Token`] |
//!
//! # Mutations
//!
//! `POST …/verbs/{verb}` takes `If-Match: "<state_version>"` for every verb whose
//! [`VerbInfo::if_match`] says so; a stale version is 412 with `EXO-API-412`, a missing one 428
//! with `EXO-API-428`. `rollback` and `panic` take no version, no approval and no reason prompt,
//! and act at once. Verbs that [`VerbInfo::dangerous`] marks only narrate unless `yes` is true
//! (or `typed_name` is the migration's name); `dry_run: true` always only narrates. An
//! `Idempotency-Key` seen before gives the stored answer again. The answer comes when the
//! decision is stored, not when its work is done: poll the status or follow the events.

mod checks;
mod codes;
mod config;
mod data;
mod envelope;
mod events;
mod fleet;
mod people;
mod problem;
mod role;
mod status;
mod traffic;
mod verb;

pub use checks::{Approval, Check, CheckClass, Criterion, Evidence, Gate, GateState, Verdict};
pub use codes::{CODES, CodeInfo, CodePage, code};
pub use config::{
    ChangeKind, ConfigChange, ConfigDocument, ConfigPlan, ConfigProblem, ConfigView, Validation,
};
pub use data::{DatasetProgress, Divergence, Failure, Page, Queue, QueueEntry, VerifyState};
pub use envelope::{AllowedAction, Envelope, NextStep, Waiting, Warning};
pub use events::{AuditEntry, AuditVerdict, Event, Samples};
pub use fleet::{
    AuthorityLine, Endpoint, Interlay, MigrationDetail, MigrationSummary, Phase, Ready, Report,
    Run, Side,
};
pub use people::{IssuedToken, Login, NewToken, Token, Whoami};
pub use problem::Problem;
pub use role::Role;
pub use status::{
    ChecksSummary, DataStatus, DivergenceStatus, EtaRange, LogKept, LogProgress, Measured,
    PhaseMark, PhaseStatus, QueueStatus, Reads, Rehearsal, SideLatency, SourceHealth, Status, Undo,
    Writes,
};
pub use traffic::{
    Analysis, ClientShare, CommandShare, CompareCause, CompareReport, Pin, Recommendation, Tenant,
    Traffic,
};
pub use verb::{Effect, VERBS, Verb, VerbInfo, VerbOutcome, VerbRequest};
