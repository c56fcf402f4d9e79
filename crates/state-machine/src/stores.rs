//! Which records are on their way to flash.

use crate::StoreItem;

impl StoreItem {
    pub(crate) const ALL: [Self; 4] = [Self::Settings, Self::RelayState, Self::Energy, Self::DelayTask];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The records that wait, and those that are being stored. Of one record at most one store is under way, so
/// that its end tells which value is in flash: the one of that moment's start, or a newer one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores {
    wanted: u8,
    under_way: u8,
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
    }

    /// Notes that the store of a record has ended.
    pub(crate) fn end(&mut self, item: StoreItem) {
        self.under_way &= !item.bit();
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
        stores.end(StoreItem::Settings);
        assert!(!stores.is_stored(StoreItem::Settings));
        assert_eq!(stores.ready(), Some(StoreItem::Settings));
        stores.begin(StoreItem::Settings);
        stores.end(StoreItem::Settings);
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
