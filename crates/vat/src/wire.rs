//! Conversions between the wire and the types of `remit_core`, one file per schema file.
