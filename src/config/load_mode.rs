//! How a configuration was made: in full, or by an amendment.

/// How a configuration was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// From all tables of all files.
    Full {
        /// How many tables that is.
        tables: usize,
    },
    /// All but so many tables were taken from an earlier configuration. The zones hold no records:
    /// those of the earlier configuration's zones apply, perhaps with other serials.
    Amended {
        /// How many tables were read again.
        tables: usize,
    },
}

impl LoadMode {
    /// How many tables were read.
    pub fn tables_read(self) -> usize {
        match self {
            Self::Full { tables } | Self::Amended { tables } => tables,
        }
    }
}
