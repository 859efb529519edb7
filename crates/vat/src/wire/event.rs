//! Events, as they travel and as they are stored.
