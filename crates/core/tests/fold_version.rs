//! What a fold version depends on: the code, and neither its comments nor its layout.

#[path = "../build/tokens.rs"]
mod tokens;

#[track_caller]
fn check_same(one: &str, other: &str) {
    assert_eq!(tokens::of(one), tokens::of(other));
}

#[track_caller]
fn check_different(one: &str, other: &str) {
    assert_ne!(tokens::of(one), tokens::of(other));
}

#[test]
fn comments_and_layout_do_not_count() {
    check_same("fn f() { 1 + 1 }", "//! Doc.\n\n/// More.\nfn f()\n{\n\t1+1 // why\n}\n");
    check_same("a /* one /* in */ another */ b", "a b");
    check_same("a // no end", "a");
    check_same("a /* no end", "a");
    check_same("let a = '\"'; // \"\nb", "let a = '\"'; b");
}

#[test]
fn code_counts() {
    check_different("fn f() { 1 + 1 }", "fn f() { 1 + 2 }");
    check_different("let ab;", "let a b;");
    check_different("x < y", "x > y");
}

#[test]
fn what_looks_like_a_comment_in_a_literal_counts() {
    check_different("f(\"a // b\")", "f(\"a // c\")");
    check_different("f(\"a  b\")", "f(\"a b\")");
    check_different(r#"f("\" // b")"#, r#"f("\" // c")"#);
    check_different(r###"f(r#"" /* b */"#)"###, r###"f(r#"" /* c */"#)"###);
    check_different("f(b\"// b\")", "f(b\"// c\")");
    check_different("f(br\"\\\", 1) // \"", "f(br\"\\\", 2) // \"");
}

#[test]
fn a_lifetime_is_no_character() {
    check_same("fn f<'a>(a: &'a str) {} // 'a", "fn f<'a>(a: &'a str) {}");
    check_different("fn f<'a>() { '/' }", "fn f<'a>() { 'b' }");
    check_same(r"let a = ['\'', '\\', 'b', b'\'']; // c", r"let a = ['\'', '\\', 'b', b'\''];");
}
