//! Joint records: a number for each combination of records of all databases that occurs.

use hashbrown::HashMap;

use super::{
    Databases, Location,
    hash_state::FastHashState,
    network_list::{NetworkCursor, UNKNOWN},
};

/// Combinations of one record of each database. With a single database, they are its records.
#[derive(Debug)]
pub(super) struct JointRecords {
    /// For each database except the first: a number for each pair that occurs of a combination of
    /// records of the earlier databases and a record of this database.
    pairs: Vec<HashMap<(u32, u32), u32, FastHashState>>,
    /// For each database except the first: the pair of each number, to decompose it again.
    origins: Vec<Vec<(u32, u32)>>,
}

impl JointRecords {
    pub(super) fn new(databases: &Databases) -> Self {
        let further = databases.list().len().saturating_sub(1);
        Self { pairs: vec![HashMap::default(); further], origins: vec![Vec::new(); further] }
    }

    /// The combination of the records that the cursors are at; a new one if it has no number yet.
    #[inline]
    pub(super) fn find_or_insert<K>(&mut self, cursors: &[NetworkCursor<'_, K>]) -> u32 {
        let Some((first, further)) = cursors.split_first() else { return UNKNOWN };
        let levels = self.pairs.iter_mut().zip(&mut self.origins);
        further.iter().zip(levels).fold(first.record, |joint, (cursor, (pairs, origins))| {
            let pair = (joint, cursor.record);
            *pairs.entry(pair).or_insert_with(|| {
                origins.push(pair);
                origins.len() as u32 - 1
            })
        })
    }

    /// The combination of the records that the cursors are at, which must have a number.
    #[inline]
    pub(super) fn find<K>(&self, cursors: &[NetworkCursor<'_, K>]) -> u32 {
        self.find_by_records(cursors.iter().map(|cursor| cursor.record))
    }

    /// The combination of these records, which must have a number.
    #[inline]
    pub(super) fn find_by_records(&self, mut records: impl Iterator<Item = u32>) -> u32 {
        let Some(first) = records.next() else { return UNKNOWN };
        records.zip(&self.pairs).fold(first, |joint, (record, pairs)| pairs[&(joint, record)])
    }

    /// The merged location of a combination.
    pub(super) fn location(&self, databases: &Databases, joint: u32) -> Location {
        let list = databases.list();
        let mut records = Vec::with_capacity(list.len());
        let mut joint = joint;
        for origins in self.origins.iter().rev() {
            let (before, record) = origins[joint as usize];
            records.push(record);
            joint = before;
        }
        records.push(joint);
        let locations = list
            .iter()
            .zip(records.iter().rev())
            .map(|(database, &record)| database.location(record));
        let mut location = locations.fold(Location::default(), |all, next| all.merged(next));
        databases.fill_from_country(&mut location);
        location
    }
}
