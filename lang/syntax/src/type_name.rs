//! Names of types: which words are types whatever follows them, and how C's own types are spelled.

/// True for a word that can only be a type, so that `(word)` is a cast whatever follows.
pub(crate) fn is_type_name(word: &str) -> bool {
    is_c_word(word)
        || matches!(
            word,
            "int8"
                | "int16"
                | "int32"
                | "int64"
                | "uint8"
                | "uint16"
                | "uint32"
                | "uint64"
                | "bool"
                | "string"
        )
        || matches!(word, "void" | "size_t" | "ssize_t" | "uintptr_t" | "intptr_t")
        || matches!(word, "u8" | "u16" | "u32" | "u64" | "s8" | "s16" | "s32" | "s64")
        || matches!(word, "__u8" | "__u16" | "__u32" | "__u64" | "__s8" | "__s16" | "__s32" | "__s64")
        || matches!(
            word,
            "uint8_t" | "uint16_t" | "uint32_t" | "uint64_t" | "int8_t" | "int16_t" | "int32_t" | "int64_t"
        )
}

/// True for the words that C's integer types are made of.
pub(crate) fn is_c_word(word: &str) -> bool {
    matches!(word, "unsigned" | "signed" | "long" | "short" | "int" | "char")
}

/// One name for the words of a type. C's integer types, whose words come in any order, are spelled as in BTF: `long
/// unsigned int`, `unsigned char`, `short int`. `None` where several words are no such type.
pub(crate) fn spell(words: &[&str]) -> Option<String> {
    if let [word] = words
        && !is_c_word(word)
    {
        return Some((*word).into());
    }
    let count = |name: &str| words.iter().filter(|&&word| word == name).count();
    let (unsigned, signed, long) = (count("unsigned"), count("signed"), count("long"));
    let (short, int, char) = (count("short"), count("int"), count("char"));
    let known = unsigned + signed + long + short + int + char == words.len();
    let once = unsigned + signed <= 1 && long <= 2 && short + char <= 1 && int <= 1;
    let fits = (long == 0 || short + char == 0) && (char == 0 || int == 0);
    if !(known && once && fits) || words.is_empty() {
        return None;
    }
    if char == 1 {
        let sign = if unsigned == 1 {
            "unsigned "
        } else if signed == 1 {
            "signed "
        } else {
            ""
        };
        return Some(format!("{sign}char"));
    }
    let width = match (long, short) {
        (2, _) => "long long ",
        (1, _) => "long ",
        (_, 1) => "short ",
        _ => "",
    };
    let sign = if unsigned == 1 { "unsigned " } else { "" };
    Some(format!("{width}{sign}int"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_types_are_spelled_as_in_btf() {
        for (words, name) in [
            ("int", Some("int")),
            ("unsigned", Some("unsigned int")),
            ("unsigned long", Some("long unsigned int")),
            ("long long unsigned", Some("long long unsigned int")),
            ("unsigned short int", Some("short unsigned int")),
            ("long", Some("long int")),
            ("char", Some("char")),
            ("unsigned char", Some("unsigned char")),
            ("signed char", Some("signed char")),
            ("pid_t", Some("pid_t")),
            ("pid_t int", None),
            ("unsigned pid_t", None),
            ("long long long", None),
            ("short long", None),
            ("char int", None),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(spell(&words).as_deref(), name, "{words:?}");
        }
    }
}
