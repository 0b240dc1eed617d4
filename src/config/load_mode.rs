//! How a configuration was made: in full, or by an amendment.

/// How a configuration was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// All tables of all files were read.
    Full {
        /// The number of tables in all files.
        tables: usize,
    },
    /// Only the tables that differ from an earlier configuration were read. The zones hold no
    /// records: those of the earlier configuration's zones apply, perhaps with other serials.
    Amended {
        /// The number of tables that were read again.
        tables: usize,
    },
}

impl LoadMode {
    /// The number of tables that were read.
    pub fn tables_read(self) -> usize {
        match self {
            Self::Full { tables } | Self::Amended { tables } => tables,
        }
    }
}
