//! The table of transactions: slots with generations, and the index of keys off the wire.

use hashbrown::HashTable;

use crate::event::TxId;
use crate::key::{Class, Key};
use crate::transaction::Transaction;

struct Slot {
    generation: u32,
    transaction: Option<Box<Transaction>>,
}

struct Indexed {
    key: Key,
    class: Class,
    slot: u32,
}

/// All transactions. A slot's generation changes whenever its transaction ends, so an old [`TxId`] finds nothing.
#[derive(Default)]
pub struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<Indexed>,
    live: usize,
}

impl Table {
    /// The transaction of this identity.
    #[inline]
    pub fn find(&self, id: TxId) -> Option<&Transaction> {
        self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?.transaction.as_deref()
    }

    /// The transaction of this identity, to change.
    #[inline]
    pub fn find_mut(&mut self, id: TxId) -> Option<&mut Transaction> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?.transaction.as_deref_mut()
    }

    /// The transaction now in a slot, whatever its generation.
    #[inline]
    pub fn in_slot(&mut self, slot: u32) -> Option<&mut Transaction> {
        self.slots.get_mut(slot as usize)?.transaction.as_deref_mut()
    }

    /// The server transaction of this key and class.
    pub fn lookup(&self, key: &Key, class: Class) -> Option<TxId> {
        let found = self.index.find(key.hash(), |entry| entry.class == class && entry.key == *key)?;
        let generation = self.slots.get(found.slot as usize)?.generation;
        Some(TxId { slot: found.slot, generation })
    }

    /// Puts a transaction in; `indexed` says whether requests off the wire can find it.
    pub fn insert(&mut self, indexed: bool, make: impl FnOnce(TxId) -> Transaction) -> TxId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 1, transaction: None });
            (self.slots.len() - 1) as u32
        });
        let Some(place) = self.slots.get_mut(slot as usize) else { return TxId { slot, generation: 0 } };
        let id = TxId { slot, generation: place.generation };
        let transaction = make(id);
        if indexed {
            let (key, class) = (transaction.key, transaction.class);
            self.index.insert_unique(key.hash(), Indexed { key, class, slot }, |entry| entry.key.hash());
        }
        place.transaction = Some(Box::new(transaction));
        self.live += 1;
        id
    }

    /// Takes a transaction out.
    pub fn remove(&mut self, id: TxId) -> Option<Box<Transaction>> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let transaction = slot.transaction.take()?;
        slot.generation = slot.generation.wrapping_add(1).max(1);
        self.free.push(id.slot);
        self.live -= 1;
        if let Ok(entry) = self.index.find_entry(transaction.key.hash(), |entry| entry.slot == id.slot) {
            entry.remove();
        }
        Some(transaction)
    }

    /// Transactions alive.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Identities of all transactions, in order of their slots.
    pub fn ids(&self) -> impl Iterator<Item = TxId> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.transaction.is_some())
            .map(|(index, slot)| TxId { slot: index as u32, generation: slot.generation })
    }
}
