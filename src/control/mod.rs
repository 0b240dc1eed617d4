//! The controller: the one owner of everything that changes, and the only code that publishes a
//! snapshot.
//!
//! | file | what |
//! |---|---|
//! | `controller` | the task: receives events, has the worker compile what they touch, publishes |
//! | `compile_worker` | the thread that compiles charts |
//! | `handle` | the commands that other modules can send to the controller |
//! | `report`, `status` | makes the status document; its types |
//! | **configuration files** | |
//! | `config_load` | from files to a compiled configuration, on a thread of its own |
//! | `file_selection` | which files of a load that fails are held at their last good content |
//! | `held_file`, `hold_tracker` | held files; since when each is held, and when it is read again |
//! | `last_good`, `last_good_saver` | the files that the configuration in force was made from; saves them |
//! | `removal` | files that disappear, and loads that remove too much |
//! | `databases`, `geography` | GeoIP databases; what pools need that no database has |
//! | `serials`, `saved_serials` | serials of zones whose SOA record the server makes |
//! | `watch` | reports when an edit is complete |
//! | `config_errors` | errors of files, in replies to operators |
//! | **drains and overrides** | |
//! | `overrides` | what operators set over the files: requests, the check of one, the file |
//! | `newly_distressed` | clients that a change would leave without a usable member |
//! | `drain` | which tables a drain edits, and which clients it would leave without a usable member |
//! | `edit`, `line_endings`, `remedy` | edits of a file; its line ends; remedies for files that cannot be written |
//! | `remaining_answer` | an answer that still names what was drained |
//! | `drain_tracker` | which answers still name a drained datacenter, and since when none does |
//! | `steering_document` | what the answers in force were compiled from |
//! | **health and load** | |
//! | `prior_status` | the health status that targets keep over a reload |
//! | `canary` | probes targets outside of the service, during a doubt |
//! | `aliases` | the addresses of aliases, the last good answer for each |
//! | `load_controller`, `transition_log` | load reports, shares and ramps; their log records |
//! | **state** | |
//! | `state` | the directory of what survives a restart |
//! | `demand_tracker` | how many queries come from which networks |
//! | `journal` | every change that can alter answers, as events |
//! | `history` | what answers depended on at each moment, to repeat them |
//! | `request_wait` | the wait of the threads of both for requests |
//! | `cookies` | the keys of server cookies |
//! | **texts** | |
//! | `certificates`, `distress`, `failing_load_sources`, `unchecked` | what an operator should look at, in words |
//! | `outcome_text`, `subject_text`, `clock` | outcomes, names of services, and times in reports |

mod aliases;
mod canary;
mod certificates;
mod clock;
mod compile_worker;
mod config_errors;
mod config_load;
mod controller;
mod cookies;
mod databases;
mod demand_tracker;
mod distress;
mod drain;
mod drain_tracker;
mod edit;
mod failing_load_sources;
mod file_selection;
mod geography;
mod handle;
mod held_file;
mod history;
mod hold_tracker;
mod journal;
mod last_good;
mod last_good_saver;
mod line_endings;
mod load_controller;
mod newly_distressed;
mod outcome_text;
mod overrides;
mod prior_status;
mod remaining_answer;
mod remedy;
mod removal;
mod report;
mod request_wait;
mod rule_holds;
mod safety;
mod safety_memory;
mod saved_serials;
mod serials;
mod service_status;
mod state;
mod status;
mod steering_document;
mod subject;
mod subject_text;
mod transition_log;
mod unchecked;
mod watch;

pub use clock::{format_time, unix_now};
pub use config_errors::ConfigErrors;
pub use config_load::{ConfigLoadError, LoadedConfig};
pub use controller::{Controller, ControllerSetup, RunningController};
pub use databases::open_databases;
pub use edit::{DatacenterEdit, EditError, edit_tables};
pub use failing_load_sources::failing_loads;
pub use handle::{
    ControllerHandle, ControllerStopped, DrainAction, DrainError, DrainOptions, DrainOutcome,
    DrainReport, DrainRequest, ListDetail, ReloadError, ReloadReport, ReloadRequest,
};
pub use history::{Replay, ReplayError};
pub use journal::{
    Event, EventAuthor, EventFilter, EventKind, EventPage, Journal, JournalEntry, JournalStatus,
    time_text,
};
pub use newly_distressed::NewlyDistressed;
pub use overrides::{
    OverrideAction, OverrideAuthor, OverrideChange, OverrideError, OverrideOptions,
    OverrideRequest, OverrideStatus,
};
pub use remaining_answer::RemainingAnswer;
pub use safety::{PlannedRules, RuleConsent, RuleStatus, RuleViolation, SafetyStatus};
pub use service_status::{ServiceCounts, ServiceState, ServiceStatus};
pub use state::StateDirectory;
pub use status::{
    AliasStatus, CertificateStatus, CheckerStatus, Concern, ConfigurationStatus, DatabaseStatus,
    DatacenterStatus, DistressedService, DrainStatus, HeldStatus, LoadStatus, MonitorFault,
    PoolStatus, RampStatus, ServerStatus, Status, TargetStatus, UncheckedStatus, ZoneStatus,
};
pub use steering_document::SteeringDocument;
pub use subject::{
    DatacenterReport, EndpointShare, GroupMember, GroupSample, PoolSubject, ServiceReport,
    SubjectReport, TargetReport, TypeShares, UnknownSubject,
};
