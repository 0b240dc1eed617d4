//! The controller: the one owner of everything that changes, and the only one that publishes a
//! snapshot. Layer 6.
//!
//! | file | what |
//! |---|---|
//! | `controller` | the task: takes events, has what they touch compiled, publishes |
//! | `compile_worker` | the thread that compiles charts |
//! | `handle` | what others may ask of it |
//! | `load` | from files to a world, on a thread of its own |
//! | `held` | which files of a load that fails stay at their last good content |
//! | `holding` | since when files are held, and when they are read again |
//! | `lastgood` | the files that the configuration in force was made of |
//! | `line_ends`, `remedy` | line ends of an edited file; what to do about one that cannot be written |
//! | `removal` | files that disappear, and loads that remove too much |
//! | `databases` | the GeoIP files |
//! | `drain` | which tables a drain edits, and what it would leave |
//! | `distress` | whose clients find no usable member, and what they are answered instead, in words |
//! | `drained` | which answers still name a drained datacenter, and since when none does |
//! | `aliases` | what aliases stand for, the last good answer of each |
//! | `certificates` | the certificates of TLS and HTTPS, as the status document has them |
//! | `canary` | asks a target outside of the service, while the checker doubts itself |
//! | `report` | makes the status document |
//! | `watch` | tells when an edit is over |
//! | `cookies` | the keys of server cookies, kept and rotated |
//! | `edit` | a drain as an edit of a file |
//! | `failing_loads` | load sources that give no report, in words |
//! | `saver` | saves the last good set apart from the controller's task |
//! | `serials` | serials of zones whose SOA is made here |
//! | `state` | what survives a restart |
//! | `status` | what the server says of itself |
//! | `told` | what the log was told of ramps, spilling pools and holders |
//! | `unchecked` | targets and load sources whose checks give no result, in words |

mod aliases;
mod canary;
mod certificates;
mod compile_worker;
mod controller;
mod cookies;
mod databases;
mod distress;
mod drain;
mod drained;
mod edit;
mod failing_loads;
mod geography;
mod handle;
mod held;
mod heritage;
mod holding;
mod lastgood;
mod line_ends;
mod load;
mod regulator;
mod remedy;
mod removal;
mod report;
mod saver;
mod serials;
mod state;
mod status;
mod told;
mod unchecked;
mod watch;

pub use controller::{Controller, Started, Starting};
pub use databases::open_databases;
pub use edit::{EditError, TableEdit, edit_tables};
pub use failing_loads::failing_loads;
pub use handle::{
    Darkened, Drain, DrainAct, DrainError, DrainOutcome, DrainReport, DrainRequest, Gone, Handle,
    Listing, ReloadError, ReloadReport, ReloadRequest,
};
pub use load::{Refusal, World};
pub use state::{StateDirectory, unix_now};
pub use status::{
    AliasStatus, CertificateStatus, CheckerStatus, Concern, ConfigurationStatus, DatabaseStatus,
    DatacenterStatus, DistressedService, DrainStatus, HeldStatus, LoadStatus, MonitorFault,
    PoolStatus, RampStatus, ServerStatus, Status, StillAnswered, TargetStatus, ZoneStatus,
};
pub use unchecked::UncheckedStatus;
