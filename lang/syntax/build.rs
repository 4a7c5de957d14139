fn main() {
    lalrpop::Configuration::new()
        .emit_rerun_directives(true)
        .use_cargo_dir_conventions()
        .process_file("src/grammar.lalrpop")
        .unwrap_or_else(|error| panic!("grammar.lalrpop: {error}"));
}
