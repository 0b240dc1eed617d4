//! Limits on what loading master files may consume: text to read, records to generate, memory for
//! records. A line of a few octets can demand all of it, by `$INCLUDE` and `$GENERATE`.
//!
//! Each zone has a budget, and all zones of a load share another one. Everything counts against
//! both.

/// A resource that loading master files consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// Octets of text. A file counts once for each `$INCLUDE`, a generated record with the length
    /// of its text.
    Text,
    /// Records that $GENERATE makes.
    Generated,
    /// Octets of memory for records: owner, rdata and [`RECORD_OVERHEAD_OCTETS`] for each.
    Records,
}

/// The memory of a record besides its owner and its rdata, in octets: its header, its node and its
/// cells in two tables.
const RECORD_OVERHEAD_OCTETS: u64 = 64;

/// A limit that would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BudgetExceeded {
    pub(super) resource: Resource,
    /// Whether the limit is that of all zones of the load; otherwise it is that of one zone.
    pub(super) is_of_load: bool,
    /// In the unit of the resource.
    limit: u64,
}

impl BudgetExceeded {
    /// The message that reports the exceeded limit.
    pub(super) fn message(self) -> String {
        const COUNTED: &str = "a file counts once for each $INCLUDE";
        let limit = self.limit;
        match (self.resource, self.is_of_load) {
            (Resource::Text, false) => {
                format!(
                    "the files of this zone have more than {} together ({COUNTED})",
                    binary_size(limit)
                )
            }
            (Resource::Text, true) => {
                format!(
                    "the files of all zones have more than {} together ({COUNTED})",
                    binary_size(limit)
                )
            }
            (Resource::Generated, false) => {
                format!("the $GENERATE lines of this zone make more than {limit} records")
            }
            (Resource::Generated, true) => {
                format!("the $GENERATE lines of all zones make more than {limit} records")
            }
            (Resource::Records, false) => {
                format!("the records of this zone need more than {} of memory", binary_size(limit))
            }
            (Resource::Records, true) => {
                format!("the records of all zones need more than {} of memory", binary_size(limit))
            }
        }
    }

    /// The remedy that an operator reads.
    pub(super) fn help(self) -> &'static str {
        match (self.resource, self.is_of_load) {
            (Resource::Text, false) => "include each file once, or split the zone",
            (Resource::Text, true) => {
                "include large files in fewer zones, or serve some of the zones from another server"
            }
            (Resource::Generated, false) => "use shorter ranges, or split the zone",
            (Resource::Generated, true) => {
                "use shorter ranges or a wildcard, or serve some of the zones from another server"
            }
            (Resource::Records, false) => "remove records, or split the zone",
            (Resource::Records, true) => "serve some of the zones from another server",
        }
    }
}

/// A number of octets as text: in whole GiB where possible, in KiB below 1 MiB, otherwise in MiB;
/// rounded up.
pub(super) fn binary_size(octets: u64) -> String {
    match octets {
        0..0x10_0000 => format!("{} KiB", octets.div_ceil(1 << 10)),
        _ if octets.is_multiple_of(1 << 30) => format!("{} GiB", octets >> 30),
        _ => format!("{} MiB", octets.div_ceil(1 << 20)),
    }
}

/// An amount of each resource.
#[derive(Debug, Clone, Copy)]
struct ResourceAmounts {
    text_octets: u64,
    generated: u64,
    records_octets: u64,
}

impl ResourceAmounts {
    fn amount(self, resource: Resource) -> u64 {
        match resource {
            Resource::Text => self.text_octets,
            Resource::Generated => self.generated,
            Resource::Records => self.records_octets,
        }
    }
}

/// The limits of one zone or of all zones of a load, and what they have consumed so far.
#[derive(Debug, Clone)]
pub struct Budget {
    limits: ResourceAmounts,
    used: ResourceAmounts,
    is_exceeded: bool,
}

impl Budget {
    const NOTHING: ResourceAmounts =
        ResourceAmounts { text_octets: 0, generated: 0, records_octets: 0 };

    /// The budget of all zones of a load: 1 GiB of text, 2^24 generated records, 2 GiB of memory
    /// for records.
    pub fn for_load() -> Self {
        Self::new(1 << 30, 1 << 24, 2 << 30)
    }

    /// The budget of one zone: 256 MiB of text, 2^20 generated records, 1 GiB of memory for
    /// records.
    pub(super) fn for_zone() -> Self {
        Self::new(256 << 20, 1 << 20, 1 << 30)
    }

    /// A budget with these limits: octets of text, number of generated records, octets of memory
    /// for records. A file counts once for each `$INCLUDE`, a record as its owner, its rdata and 64
    /// octets.
    pub fn new(text_octets: u64, generated: u64, records_octets: u64) -> Self {
        let limits = ResourceAmounts { text_octets, generated, records_octets };
        Self { limits, used: Self::NOTHING, is_exceeded: false }
    }

    /// Whether a limit was exceeded; nothing more is read then.
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    fn take(&mut self, resource: Resource, amount: u64) -> Result<(), u64> {
        let limit = self.limits.amount(resource);
        let taken = match resource {
            Resource::Text => &mut self.used.text_octets,
            Resource::Generated => &mut self.used.generated,
            Resource::Records => &mut self.used.records_octets,
        };
        *taken = taken.saturating_add(amount);
        self.is_exceeded |= *taken > limit;
        if *taken > limit { Err(limit) } else { Ok(()) }
    }
}

/// The budgets of a zone that is being read.
pub(super) struct Budgets<'l> {
    pub(super) zone: Budget,
    pub(super) load: &'l mut Budget,
}

impl Budgets<'_> {
    /// Whether a limit of either budget was exceeded.
    pub(super) fn are_exceeded(&self) -> bool {
        self.zone.is_exceeded || self.load.is_exceeded
    }

    /// Takes an amount of a resource from both budgets.
    ///
    /// # Errors
    /// The limit that would be exceeded. The caller reads no further then.
    pub(super) fn take(&mut self, resource: Resource, amount: u64) -> Result<(), BudgetExceeded> {
        let excess = |is_of_load| move |limit| BudgetExceeded { resource, is_of_load, limit };
        self.zone.take(resource, amount).map_err(excess(false))?;
        self.load.take(resource, amount).map_err(excess(true))
    }

    /// Takes the memory of a record.
    ///
    /// # Errors
    /// The limit that would be exceeded, as for [`Budgets::take`].
    pub(super) fn take_record(
        &mut self,
        owner_octets: usize,
        rdata_octets: usize,
    ) -> Result<(), BudgetExceeded> {
        self.take(
            Resource::Records,
            owner_octets as u64 + rdata_octets as u64 + RECORD_OVERHEAD_OCTETS,
        )
    }
}
