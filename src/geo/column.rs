//! A column of numbers, stored in 16 bits each while all of them fit. This halves the memory of
//! nearly every real database and atlas.

/// Numbers in order, of two octets each, or of four once a number needs more than two.
#[derive(Debug, Clone)]
pub(super) enum CompactColumn {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Default for CompactColumn {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl CompactColumn {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self::Narrow(Vec::with_capacity(count))
    }

    #[inline]
    pub(super) fn push(&mut self, value: u32) {
        match self {
            Self::Wide(values) => values.push(value),
            Self::Narrow(values) => match u16::try_from(value) {
                Ok(narrow) => values.push(narrow),
                Err(_) => self.widen().push(value),
            },
        }
    }

    #[cold]
    fn widen(&mut self) -> &mut Vec<u32> {
        if let Self::Narrow(values) = self {
            *self = Self::Wide(values.iter().map(|&v| u32::from(v)).collect());
        }
        match self {
            Self::Wide(values) => values,
            Self::Narrow(_) => unreachable!("widened in the line above"),
        }
    }

    /// The value at a position that has been pushed.
    #[inline]
    pub(super) fn value_at(&self, position: usize) -> u32 {
        match self {
            Self::Narrow(values) => u32::from(values[position]),
            Self::Wide(values) => values[position],
        }
    }

    pub(super) fn shrink(&mut self) {
        match self {
            Self::Narrow(values) => values.shrink_to_fit(),
            Self::Wide(values) => values.shrink_to_fit(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Narrow(values) => values.capacity() * 2,
            Self::Wide(values) => values.capacity() * 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_widens_when_a_number_needs_it_and_keeps_earlier_numbers() {
        let mut column = CompactColumn::default();
        for value in [0, 65_535, 65_536, u32::MAX, 7] {
            column.push(value);
        }
        assert_eq!(
            (0..5).map(|i| column.value_at(i)).collect::<Vec<_>>(),
            [0, 65_535, 65_536, u32::MAX, 7]
        );
        assert!(matches!(column, CompactColumn::Wide(_)));
    }
}
