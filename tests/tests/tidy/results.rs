//! The results of methods in the documentation are those of the tools' schemas.

use remit_tests::results_page;

#[test]
fn the_results_of_methods_are_made_from_their_schemas() {
    let page = std::fs::read_to_string(results_page::path()).unwrap();
    assert!(
        page == results_page::page(),
        "the results in docs/tools.md are not those of the tools: write them anew with `cargo run -p remit-tests --bin results`"
    );
}
