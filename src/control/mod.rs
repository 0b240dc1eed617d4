//! The controller: the one owner of everything that changes, and the only one that publishes a
//! snapshot. Layer 6.
//!
//! | file | what |
//! |---|---|
//! | `controller` | the task: takes events, has what they touch compiled, publishes |
//! | `compile_worker` | the thread that compiles charts |
//! | `handle` | what others may ask of it |
//! | `config_load` | from files to a world, on a thread of its own |
//! | `file_selection` | which files of a load that fails stay at their last good content |
//! | `hold_tracker` | since when files are held, and when they are read again |
//! | `last_good` | the files that the configuration in force was made of |
//! | `line_endings`, `remedy` | line ends of an edited file; what to do about one that cannot be written |
//! | `removal` | files that disappear, and loads that remove too much |
//! | `databases` | the GeoIP files |
//! | `drain` | which tables a drain edits, and what it would leave |
//! | `distress` | whose clients find no usable member, and what they are answered instead, in words |
//! | `drain_tracker` | which answers still name a drained datacenter, and since when none does |
//! | `aliases` | what aliases stand for, the last good answer of each |
//! | `certificates` | the certificates of TLS and HTTPS, as the status document has them |
//! | `canary` | asks a target outside of the service, while the checker doubts itself |
//! | `report` | makes the status document |
//! | `watch` | tells when an edit is over |
//! | `cookies` | the keys of server cookies, kept and rotated |
//! | `edit` | a drain as an edit of a file |
//! | `failing_load_sources` | load sources that give no report, in words |
//! | `last_good_saver` | saves the last good set apart from the controller's task |
//! | `serials` | serials of zones whose SOA is made here |
//! | `state` | what survives a restart |
//! | `status` | what the server says of itself |
//! | `transition_log` | what the log was told of ramps, spilling pools and holders |
//! | `unchecked` | targets and load sources whose checks give no result, in words |

mod aliases;
mod canary;
mod certificates;
mod compile_worker;
mod config_load;
mod controller;
mod cookies;
mod databases;
mod distress;
mod drain;
mod drain_tracker;
mod edit;
mod failing_load_sources;
mod file_selection;
mod geography;
mod handle;
mod hold_tracker;
mod last_good;
mod last_good_saver;
mod line_endings;
mod load_controller;
mod prior_status;
mod remedy;
mod removal;
mod report;
mod serials;
mod state;
mod status;
mod transition_log;
mod unchecked;
mod watch;

pub use config_load::{ConfigLoadError, LoadedConfig};
pub use controller::{Controller, ControllerSetup, RunningController};
pub use databases::open_databases;
pub use edit::{DatacenterEdit, EditError, edit_tables};
pub use failing_load_sources::failing_loads;
pub use handle::{
    ControllerHandle, ControllerStopped, DrainAction, DrainError, DrainOptions, DrainOutcome,
    DrainReport, DrainRequest, ListDetail, NewlyDistressed, ReloadError, ReloadReport,
    ReloadRequest,
};
pub use state::{StateDirectory, unix_now};
pub use status::{
    AliasStatus, CertificateStatus, CheckerStatus, Concern, ConfigurationStatus, DatabaseStatus,
    DatacenterStatus, DistressedService, DrainStatus, HeldStatus, LoadStatus, MonitorFault,
    PoolStatus, RampStatus, RemainingAnswer, ServerStatus, Status, TargetStatus, ZoneStatus,
};
pub use unchecked::UncheckedStatus;
