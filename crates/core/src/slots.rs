//! The slab of sockets. JavaScript knows a socket by the number of its slot. Each time the slot is used its generation
//! is another one.

use crate::ready::Key;

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Numbered places. Numbers are small and used again, but not while an event for the old owner may still be around.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    retired: Vec<u32>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Fills a free slot with what `make` returns for its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> u32 {
        let slot = self.free.last().copied().unwrap_or_else(|| {
            u32::try_from(self.slots.len()).expect("fewer sockets than descriptors, which are i32")
        });
        let generation = self.slots.get(slot as usize).map_or(0, |s| s.generation);
        let value = make(Key { slot, generation });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            self.free.pop();
            place.value = Some(value);
        } else {
            self.slots.push(Slot {
                generation,
                value: Some(value),
            });
        }
        slot
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.value.as_mut()
    }

    /// All values, in the order of their numbers.
    // Used by `handover` only.
    #[cfg(unix)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }

    /// The slot's present key.
    pub(crate) fn key(&self, slot: u32) -> Key {
        let generation = self.slots.get(slot as usize).map_or(0, |s| s.generation);
        Key { slot, generation }
    }

    /// The value in a slot, unless its generation has changed.
    pub(crate) fn get_key_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        slot.value.as_mut()
    }

    /// Puts another value into the slot and keeps its generation. Returns the old value; an empty slot stays empty.
    pub(crate) fn replace(&mut self, slot: u32, value: T) -> Option<T> {
        self.get_mut(slot)
            .map(|place| std::mem::replace(place, value))
    }

    /// Takes the value out. The number is not used again before [`Slots::recycle`].
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.slots.get_mut(slot as usize)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.retired.push(slot);
        Some(value)
    }

    /// Lets the numbers of removed sockets be used again, now that no event with one of them is on its way.
    pub(crate) fn recycle(&mut self) {
        self.free.append(&mut self.retired);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len() - self.retired.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(slots: &mut Slots<&'static str>, value: &'static str) -> (u32, Key) {
        let mut seen = None;
        let slot = slots.insert_with(|key| {
            seen = Some(key);
            value
        });
        (slot, seen.expect("called"))
    }

    #[test]
    fn a_number_is_reused_only_after_recycling_and_under_a_new_generation() {
        let mut slots = Slots::new();
        let (first, old) = insert(&mut slots, "a");
        assert_eq!(slots.remove(first), Some("a"));
        let (second, _) = insert(&mut slots, "b");
        assert_ne!(second, first);
        slots.recycle();
        let (third, new) = insert(&mut slots, "c");
        assert_eq!(third, first);
        assert_eq!(slots.get_key_mut(old), None);
        assert_eq!(slots.get_key_mut(new).copied(), Some("c"));
        assert_eq!(slots.len(), 2);
    }
}
