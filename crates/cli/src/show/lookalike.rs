//! Letters that look like Latin ones, or like digits, and are others: which of a text are spelled out.
//!
//! A letter is, if its word also has Latin letters or digits, or if all letters of the word look Latin
//! and nothing else in the text is written in another script. So `pаypal` with a Cyrillic `а` shows,
//! and a Russian sentence stays as it is.

/// Cyrillic, Greek, Armenian, Cherokee, Lisu and other letters that most fonts draw as Latin letters or
/// digits, after the Unicode table of confusables (UTS 39).
const LOOKALIKES: &str = "\
    авеёгкмнопрстухцьѕіїјћһѐѓќԁԛԝӏүұҽԍоасерухіѕј\
    АВЕЁЗКМНОРСТУХЅІЇЈҮԌԚԜӀЬ\
    αγεικνορστυχωϲϳόίάέύώϊϋ\
    ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿϜΆΈΊΌΎ\
    աեզհղմյոսցւօքՏՍԼՕՀ\
    ᎠᎡᎢᎥᎩᎪᎫᎬᎳᎵᎷᎻᎽᏀᏂᏃᏇᏎᏏᏒᏔᏙᏚᏞᏟᏢᏦᏧᏮᏰᏳᏴ\
    ꓐꓑꓓꓔꓖꓗꓙꓚꓜꓝꓞꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ\
    ꭰꭱꭲꭵꮃꮋꮓꮪꮯꮲꮶ\
    ⲀⲂⲈⲎⲒⲔⲘⲚⲞⲢⲤⲦⲨⲬⲟⲣⲥⲩⲭ\
    ٥۵०০੦૦୦௦౦೦൦๐໐၀ოჿᲿ";

/// Whether a letter or digit of another script, or of another form, looks like one of ASCII.
fn is_lookalike(c: char) -> bool {
    matches!(c,
        // Full width, mathematical, enclosed and other forms of the Latin letters and digits.
        '\u{ff10}'..='\u{ff19}' | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}'
        | '\u{1d400}'..='\u{1d7ff}' | '\u{1fbf0}'..='\u{1fbf9}' | '\u{2160}'..='\u{217f}'
        | '\u{2102}' | '\u{210a}'..='\u{2113}' | '\u{2115}' | '\u{2118}'..='\u{211d}'
        | '\u{2124}' | '\u{2128}' | '\u{212a}' | '\u{212c}'..='\u{2139}' | '\u{2145}'..='\u{2149}'
        // Latin letters that only phonetic notation uses.
        | 'ɑ' | 'ɡ' | 'ɩ' | 'ǀ' | 'ɪ' | 'ʏ' | 'ᴄ' | 'ᴏ' | 'ᴠ' | 'ᴡ' | 'ᴢ' | 'ꜱ' | 'ꞵ' | 'ʋ')
        || LOOKALIKES.contains(c)
}

/// Whether a letter is Latin: ASCII, or one of those with marks.
const fn is_latin(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

/// The places in `text`, in bytes, of the letters that are spelled out, in order.
pub(super) fn spelled(text: &str) -> Vec<usize> {
    if text.is_ascii() {
        return Vec::new();
    }
    let foreign = |c: char| c.is_alphabetic() && !is_latin(c) && !is_lookalike(c);
    let written_in_another = text.chars().any(foreign);
    let mut found = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if !c.is_alphanumeric() {
            continue;
        }
        let mut word = vec![(at, c)];
        while let Some(next) = rest.next_if(|(_, c)| c.is_alphanumeric()) {
            word.push(next);
        }
        let latin = |(_, c): &(usize, char)| c.is_ascii_alphanumeric() || is_latin(*c);
        let is_mixed = word.iter().any(latin);
        let looks_latin = word.iter().all(|(_, c)| is_lookalike(*c));
        if is_mixed || (looks_latin && !written_in_another) {
            found.extend(word.iter().filter(|(_, c)| is_lookalike(*c)).map(|(at, _)| *at));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let spelled = spelled(text);
        let each = |(at, c): (usize, char)| match spelled.contains(&at) {
            true => c.escape_unicode().to_string(),
            false => c.to_string(),
        };
        text.char_indices().map(each).collect()
    }

    #[test]
    fn letter_that_looks_latin_is_spelled_out_in_a_word_with_latin_letters() {
        for (text, right) in [
            ("p\u{430}ypal.com", "p\\u{430}ypal.com"),
            ("transfer(\u{410}nn)", "transfer(\\u{410}nn)"),
            ("g\u{3bf}\u{3bf}gle", "g\\u{3bf}\\u{3bf}gle"),
            ("1\u{41e}00", "1\\u{41e}00"),
            ("\u{ff41}dmin", "\\u{ff41}dmin"),
            ("\u{1d5ba}dmin", "\\u{1d5ba}dmin"),
            ("\u{13a0}nn", "\\u{13a0}nn"),
            ("\u{555}k", "\\u{555}k"),
            ("r\u{251}m", "r\\u{251}m"),
        ] {
            assert_eq!(shown(text), right);
        }
    }

    #[test]
    fn word_of_letters_that_look_latin_is_spelled_out_where_nothing_else_is_in_another_script() {
        let word = "\u{440}\u{430}\u{443}";
        assert_eq!(shown(word), "\\u{440}\\u{430}\\u{443}");
        assert_eq!(shown("rm src/\u{441}"), "rm src/\\u{441}");
    }

    #[test]
    fn text_in_another_script_stays_as_it_is() {
        for text in [
            "Он сказал, что это так, а не иначе",
            "Η γλώσσα είναι ζωντανή",
            "Բարև աշխարհ",
            "これは Rust です",
            "naïve café, Müller, Łódź, Đặng",
            "Δt, λ and 10 µs, 5 ≤ 6",
            "plain",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
