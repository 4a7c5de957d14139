//! The settings of a script: defaults, `config = { … }`, and the environment, which wins.

/// The settings that the compiler and the runtime obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most bytes of a text of unknown length, without its NUL.
    pub max_strlen: u32,
    /// Elements of an undeclared keyed map.
    pub max_map_keys: u32,
    /// Attach points in all.
    pub max_probes: u32,
    /// Programs in all.
    pub max_bpf_progs: u32,
    /// Size of the ring buffer in pages, rounded up to a power of two; `None`: chosen by need.
    pub perf_rb_pages: Option<u32>,
    pub print_maps_on_exit: bool,
    /// What follows a string that was cut.
    pub str_trunc_trailer: String,
    /// Size of the verifier's log in bytes.
    pub log_size: u32,
    pub missing_probes: MissingProbes,
    pub license: String,
    /// The most bytes that `cat` prints.
    pub max_cat_bytes: u32,
    /// Follow what each process maps, so that its symbols are known after its end. Without it, every look-up asks the
    /// process itself.
    pub cache_user_symbols: bool,
    /// Print names of C++ and Rust as their source has them.
    pub demangle: bool,
    /// Print the files and lines of user stacks, and the functions that were inlined.
    pub show_debug_info: bool,
    pub unstable_tseries: Unstable,
}

impl Config {
    /// The capacity of strings of unknown length, in bytes.
    pub fn text_capacity(&self) -> u32 {
        self.max_strlen + 1
    }
}

/// What an attach point that does not exist is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingProbes {
    Error,
    Warn,
    Ignore,
}

/// What the use of something that may still change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstable {
    Error,
    Warn,
    Enable,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_strlen: 1024,
            max_map_keys: 4096,
            max_probes: 1024,
            max_bpf_progs: 1024,
            perf_rb_pages: None,
            print_maps_on_exit: true,
            str_trunc_trailer: "..".to_string(),
            log_size: 1_000_000,
            missing_probes: MissingProbes::Error,
            license: "GPL".to_string(),
            max_cat_bytes: 10240,
            cache_user_symbols: true,
            demangle: true,
            show_debug_info: true,
            unstable_tseries: Unstable::Warn,
        }
    }
}
