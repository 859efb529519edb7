//! Hashes the crate's sources: what a program decides by, so that states kept by another are known.
//! Comments and layout decide nothing, and are left out.

#[path = "build/tokens.rs"]
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build");
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    files.sort();
    let tokens = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        tokens::of(&text).into_iter().flat_map(|token| (token + "\n").into_bytes())
    });
    println!("cargo::rustc-env=REMIT_FOLD_VERSION={:032x}", hash(tokens));
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// FNV-1a of 128 bits: nobody gains by making two programs look the same.
fn hash(bytes: impl Iterator<Item = u8>) -> u128 {
    bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}
