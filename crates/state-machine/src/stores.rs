//! Which records are on their way to flash.

use crate::StoreItem;

impl StoreItem {
    /// All of them, each in the place of its number.
    pub const ALL: [Self; 4] = [Self::Settings, Self::RelayState, Self::Energy, Self::DelayTask];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The records that wait, and those that are being stored. Of one record only the newest store counts as under way, so
/// that its end tells which value is in flash: the one of that moment's start, or a newer one. The end of a store that
/// was given up, or overtaken in a hurry, is known by its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores {
    wanted: u8,
    under_way: u8,
    /// The number of each record's newest store.
    numbers: [u8; StoreItem::ALL.len()],
}

impl Stores {
    /// Wants the newest value of a record stored.
    pub(crate) fn want(&mut self, item: StoreItem) {
        self.wanted |= item.bit();
    }

    /// Lets a record that is wanted be stored without waiting for a store of it that is under way.
    pub(crate) fn hurry(&mut self, item: StoreItem) {
        self.under_way &= !(self.wanted & item.bit());
    }

    /// Returns a record whose store can begin now.
    pub(crate) fn ready(&self) -> Option<StoreItem> {
        let ready = self.wanted & !self.under_way;
        StoreItem::ALL.into_iter().find(|item| ready & item.bit() != 0)
    }

    /// Notes that the store of a record begins.
    pub(crate) fn begin(&mut self, item: StoreItem) {
        self.wanted &= !item.bit();
        self.under_way |= item.bit();
        if let Some(number) = self.numbers.get_mut(item as usize) {
            *number = number.wrapping_add(1);
        }
    }

    /// Tells the number of a record's newest store.
    pub(crate) fn number(&self, item: StoreItem) -> u8 {
        self.numbers.get(item as usize).copied().unwrap_or(0)
    }

    /// Notes that the store of a record has ended, if it is the newest one.
    pub(crate) fn end(&mut self, item: StoreItem, number: u8) {
        if number == self.number(item) {
            self.under_way &= !item.bit();
        }
    }

    /// Wants everything stored again that is under way, and returns it.
    pub(crate) fn retry(&mut self) -> impl Iterator<Item = StoreItem> + use<> {
        let late = self.under_way;
        self.wanted |= late;
        self.under_way = 0;
        StoreItem::ALL.into_iter().filter(move |item| late & item.bit() != 0)
    }

    /// Tells whether the newest value of a record is in flash.
    pub(crate) fn is_stored(&self, item: StoreItem) -> bool {
        (self.wanted | self.under_way) & item.bit() == 0
    }

    /// Tells whether the newest value of every record is in flash.
    pub(crate) fn all_stored(&self) -> bool {
        self.wanted | self.under_way == 0
    }

    /// Tells whether a store is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_changed_while_it_is_stored_is_stored_again() {
        let mut stores = Stores::default();
        stores.want(StoreItem::Settings);
        assert_eq!(stores.ready(), Some(StoreItem::Settings));
        stores.begin(StoreItem::Settings);
        stores.want(StoreItem::Settings);
        assert_eq!(stores.ready(), None);
        stores.end(StoreItem::Settings, stores.number(StoreItem::Settings));
        assert!(!stores.is_stored(StoreItem::Settings));
        assert_eq!(stores.ready(), Some(StoreItem::Settings));
        stores.begin(StoreItem::Settings);
        stores.end(StoreItem::Settings, stores.number(StoreItem::Settings));
        assert!(stores.all_stored());
    }

    #[test]
    fn a_store_that_never_ends_is_wanted_again() {
        let mut stores = Stores::default();
        stores.want(StoreItem::Energy);
        stores.begin(StoreItem::Energy);
        stores.want(StoreItem::RelayState);
        assert!(stores.retry().eq([StoreItem::Energy]));
        assert!(!stores.is_under_way());
        assert_eq!(stores.ready(), Some(StoreItem::RelayState));
        stores.begin(StoreItem::RelayState);
        assert_eq!(stores.ready(), Some(StoreItem::Energy));
    }

    #[test]
    fn the_end_of_a_store_that_was_given_up_or_overtaken_is_not_that_of_the_newer_one() {
        for overtake in [
            |stores: &mut Stores| stores.retry().for_each(drop),
            |stores: &mut Stores| stores.hurry(StoreItem::Energy),
        ] {
            let mut stores = Stores::default();
            stores.want(StoreItem::Energy);
            stores.begin(StoreItem::Energy);
            let first = stores.number(StoreItem::Energy);
            stores.want(StoreItem::Energy);
            overtake(&mut stores);
            stores.begin(StoreItem::Energy);
            stores.end(StoreItem::Energy, first);
            assert!(!stores.is_stored(StoreItem::Energy));
            stores.end(StoreItem::Energy, stores.number(StoreItem::Energy));
            assert!(stores.is_stored(StoreItem::Energy));
        }
    }

    #[test]
    fn in_a_hurry_a_record_does_not_wait_for_its_store_under_way() {
        let mut stores = Stores::default();
        stores.want(StoreItem::Energy);
        stores.begin(StoreItem::Energy);
        stores.hurry(StoreItem::Energy);
        assert_eq!(stores.ready(), None, "nothing new to store");
        assert!(stores.is_under_way());
        stores.want(StoreItem::Energy);
        stores.hurry(StoreItem::Energy);
        assert_eq!(stores.ready(), Some(StoreItem::Energy));
    }
}
