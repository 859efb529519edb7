//! Places: how many connections each identity has, and that it has no more than it may.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use remit_core::Identity;
use remit_identity::tls::Refused;

/// The places for connections of one purpose.
pub(crate) struct Places {
    most: usize,
    taken: RefCell<HashMap<Identity, usize>>,
}

/// A place, held until it is dropped.
pub(crate) struct Place {
    places: Rc<Places>,
    identity: Identity,
}

impl Places {
    /// At most `most` for each identity.
    pub(crate) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { most, taken: RefCell::default() })
    }

    /// One more place for `identity`, if it may have one.
    pub(crate) fn take(self: &Rc<Self>, identity: &Identity) -> Result<Place, Refused> {
        let mut taken = self.taken.borrow_mut();
        let count = taken.entry(identity.clone()).or_default();
        if *count >= self.most {
            let why = format!("{identity} was refused: it has {count} connections already");
            return Err(Refused(why));
        }
        *count += 1;
        Ok(Place { places: Rc::clone(self), identity: identity.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.borrow_mut();
        if let Some(count) = taken.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.identity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use remit_core::Role;

    use super::*;

    #[test]
    fn one_identity_takes_no_place_from_another() {
        let places = Places::new(2);
        let name = |name| Identity::new("home", "default", Role::Client, name).unwrap();
        let (one, two) = (name("one"), name("two"));
        let _first = places.take(&one).unwrap();
        let second = places.take(&one).unwrap();
        assert!(places.take(&one).is_err());
        assert!(places.take(&two).is_ok());
        drop(second);
        assert!(places.take(&one).is_ok());
    }
}
