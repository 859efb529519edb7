//! Generates the Rust code from the committed request, so that no `capnp` program is needed.

use std::path::Path;

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts so")]
fn main() {
    println!("cargo::rerun-if-changed=remit.cgr");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let request =
        std::fs::File::open(Path::new("remit.cgr")).expect("remit.cgr is beside build.rs");
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(out)
        .run(request)
        .expect("remit.cgr is a code generator request: run compile.sh again");
}
