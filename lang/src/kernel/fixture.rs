//! A kernel made of files, for tests that need neither root nor the kernel that runs.

use std::sync::Arc;

use super::{Features, Kernel, KernelError, TracepointFormat};
use crate::btf::{Btf, BtfError};

/// Answers from what it was given, always the same.
#[derive(Debug)]
pub struct FixtureKernel {
    modules: Vec<String>,
    btf: Vec<Arc<Btf>>,
    /// `(category, event)` and the text of the `format` file, in the kernel's order.
    formats: Vec<((String, String), String)>,
    symbols: Vec<(String, u64)>,
    functions: Vec<(String, String)>,
    features: Features,
}

impl FixtureKernel {
    /// A kernel with these types and two CPUs. Until it is given tracepoints it is one whose tracefs must not be
    /// read, as it is without root. It has `bpf_rdonly_cast` if its BTF has.
    pub fn new(btf: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<FixtureKernel, BtfError> {
        let btf = Arc::new(Btf::parse(btf)?);
        let rdonly_cast = btf.find("bpf_rdonly_cast", crate::btf::Kind::Func).is_some();
        let functions = btf.functions().map(|(_, function)| ("vmlinux".to_owned(), function.name.to_owned()));
        let functions = functions.collect();
        Ok(FixtureKernel {
            modules: vec!["vmlinux".to_owned()],
            btf: vec![btf],
            formats: Vec::new(),
            symbols: Vec::new(),
            functions,
            features: Features {
                rdonly_cast,
                may_goto: true,
                bpf_loop: true,
                isa_v4: true,
                for_each: true,
                percpu_lookup: true,
                sleepable: true,
                raw_cookies: true,
                perf_cookies: true,
                tracing_cookies: true,
                func_ip: true,
                uretprobe_func_ip: true,
            },
        })
    }

    /// Adds a module whose BTF continues the kernel's.
    pub fn with_module(
        mut self,
        name: &str,
        btf: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<FixtureKernel, BtfError> {
        self.btf.push(Arc::new(Btf::parse_split(btf, Arc::clone(&self.btf[0]))?));
        self.modules.push(name.to_owned());
        Ok(self)
    }

    /// Adds a tracepoint with the text of its `format` file.
    pub fn with_tracepoint(mut self, category: &str, event: &str, format: &str) -> FixtureKernel {
        self.formats.push(((category.to_owned(), event.to_owned()), format.to_owned()));
        self
    }

    pub fn with_symbol(mut self, name: &str, address: u64) -> FixtureKernel {
        self.symbols.push((name.to_owned(), address));
        self
    }

    pub fn with_features(mut self, features: Features) -> FixtureKernel {
        self.features = features;
        self
    }

    fn check_tracefs(&self) -> Result<(), KernelError> {
        if self.formats.is_empty() {
            let what = "the kernel's tracepoints (tracefs)".to_owned();
            return Err(KernelError::Denied { what, help: "add one with `with_tracepoint`".to_owned() });
        }
        Ok(())
    }
}

impl Kernel for FixtureKernel {
    fn modules(&self) -> Result<&[String], KernelError> {
        Ok(&self.modules)
    }

    fn module_btf(&self, module: u16) -> Result<&Btf, KernelError> {
        self.btf
            .get(usize::from(module))
            .map(|btf| &**btf)
            .ok_or_else(|| KernelError::Missing { what: format!("the types of module {module}") })
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<TracepointFormat, KernelError> {
        self.check_tracefs()?;
        let what = format!("{category}:{event}");
        match self.formats.iter().find(|((c, e), _)| c == category && e == event) {
            Some((_, text)) => TracepointFormat::parse(&what, text),
            None => Err(KernelError::Missing { what: format!("the tracepoint {what}") }),
        }
    }

    fn tracepoints(&self) -> Result<Vec<(String, String)>, KernelError> {
        self.check_tracefs()?;
        Ok(self.formats.iter().map(|(name, _)| name.clone()).collect())
    }

    fn traceable_functions(&self) -> Result<&[(String, String)], KernelError> {
        Ok(&self.functions)
    }

    fn symbol_address(&self, name: &str) -> Result<Option<u64>, KernelError> {
        Ok(self.symbols.iter().find(|(symbol, _)| symbol == name).map(|(_, address)| *address))
    }

    fn allows_override(&self) -> bool {
        true
    }

    fn ticks_per_second(&self) -> Option<u32> {
        Some(250)
    }

    fn cpu_count(&self) -> u32 {
        2
    }

    fn features(&self) -> &Features {
        &self.features
    }
}
