//! Attach points become instances: a body, one context, and all targets that look like it.
//!
//! Attach points that are listed one by one get an instance each. The matches of a wildcard, and targets that are told
//! apart by a number, share one where their contexts are equal in all that the body uses; so a body that uses no arguments is
//! checked and compiled once, however many matches there are.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::error::{AttachFact, Expanded, Fact, Warning};
use super::nearest::nearest;
use super::solve::Local;
use super::uses::Uses;
use super::{Checker, DidYouMean};
use crate::config::MissingProbes;
use crate::provider::{AttachError, Context, Dispatch, Phase, Provider, Target};
use crate::typed;

/// One body in one context.
pub(super) struct Instance<'a> {
    pub probe: &'a ast::Probe,
    /// The attach point, or the first of those that share the body.
    pub at: Span,
    pub targets: Vec<Target>,
    pub context: Context,
    pub provider: &'a dyn Provider,
    /// Where the targets share one event of the kernel.
    pub dispatch: Option<typed::Dispatch>,
    pub probe_type: &'static str,
    /// Where the targets are matches of a wildcard: the first of them.
    pub expanded: Option<Expanded>,
    /// The process that `-p` asks for, where it applies.
    pub filter_pid: Option<u32>,
    /// In the order of their declarations.
    pub locals: Vec<Local>,
    /// It is the body of a function that nothing calls, and no program is made of it.
    pub uncalled: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn make_instances(&mut self, providers: &'a [&'a dyn Provider]) {
        let mut count = 0;
        let script = self.script;
        for item in &script.items {
            let ast::Item::Probe(probe) = item else { continue };
            let uses = Uses::of(probe);
            let mut unmatched = Vec::new();
            let before = count;
            for point in &probe.attach_points {
                count += self.attach_point(probe, point, uses, providers, &mut unmatched);
                if count > self.config.max_probes as usize {
                    self.error(AttachFact::TooManyProbes {
                        found: count,
                        limit: self.config.max_probes,
                        at: point.span,
                    });
                    return;
                }
            }
            // Patterns beside other attach points are for what goes by several names.
            if count == before {
                for (point, text) in unmatched {
                    self.attach_error(AttachError::NoMatch, &text, ("", &[]), point, None);
                }
            }
        }
        self.make_uncalled();
    }

    /// Functions that nothing calls are looked at as if the first probe called them. What that hands over is not theirs.
    fn make_uncalled(&mut self) {
        let Some(first) = self.instances.first() else { return };
        let of = |probe| Instance {
            probe,
            at: probe.span,
            targets: vec![first.targets[0].clone()],
            context: Uses::default().trim(first.context.clone()),
            provider: first.provider,
            dispatch: None,
            probe_type: first.probe_type,
            expanded: None,
            filter_pid: None,
            locals: Vec::new(),
            uncalled: true,
        };
        let uncalled: Vec<Instance<'a>> = self.script.uncalled.iter().map(of).collect();
        self.instances.extend(uncalled);
    }

    /// Makes the instances of one attach point, and tells how many targets it has. A pattern that matches nothing is
    /// put down in `unmatched`.
    fn attach_point(
        &mut self,
        probe: &'a ast::Probe,
        point: &'a ast::AttachPoint,
        uses: Uses,
        providers: &'a [&'a dyn Provider],
        unmatched: &mut Vec<(&'a ast::AttachPoint, String)>,
    ) -> usize {
        let text = self.with_positional(&point.text);
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name.trim(), rest.trim()),
            None => (text.trim(), ""),
        };
        let Some(provider) = providers.iter().find(|provider| provider.is_named(name)) else {
            let names =
                providers.iter().flat_map(|provider| provider.names()).filter(|known| known.len() > 2);
            let help = nearest(name, names.copied());
            self.error(AttachFact::UnknownProvider { name: name.to_string(), at: point.span, help });
            return 0;
        };
        let expansion = match provider.expand(rest, self.kernel) {
            Ok(expansion) => expansion,
            Err(AttachError::NoMatch) => {
                unmatched.push((point, text));
                return 0;
            }
            Err(error) => {
                self.attach_error(error, &text, (name, provider.names()), point, None);
                return 0;
            }
        };
        let count = expansion.targets.len();
        // Instances before this one are of other attach points.
        let first = self.instances.len();
        for target in expansion.targets {
            let expanded = expansion.wildcard.then(|| Expanded { to: target.name.clone(), at: point.span });
            let context = if uses.has_types() {
                provider.context(&target, self.kernel, &mut self.structs)
            } else {
                provider.context_without_types(&target, self.kernel, &mut self.structs)
            };
            let context = match context {
                Ok(context) if provider.context_struct(&target).is_some() => context,
                Ok(context) => uses.trim(context),
                Err(error) => {
                    self.attach_error(error, &target.name, (name, provider.names()), point, expanded);
                    continue;
                }
            };
            let may_share = expansion.wildcard
                && (!uses.probe || self.kernel.features().tells_attach_points_apart(context.program));
            let dispatch = provider.dispatch(&target);
            let alike = self.instances.iter_mut().enumerate().find(|(index, instance)| {
                let is_same = std::ptr::eq(instance.probe, probe) && instance.context == context;
                let place = instance.dispatch.as_ref().map(|dispatch| dispatch.place);
                let shares = dispatch.is_some() || may_share && *index >= first;
                is_same && shares && place == dispatch.map(|dispatch| dispatch.place)
            });
            if let Some((_, instance)) = alike {
                // Patterns that overlap fire once for each of them, which one program cannot.
                let numbers = instance.dispatch.as_mut().map(|dispatch| &mut dispatch.numbers);
                let is_new = numbers
                    .as_ref()
                    .zip(dispatch)
                    .is_none_or(|(numbers, dispatch)| !numbers.contains(&dispatch.number));
                if is_new {
                    if let Some((numbers, dispatch)) = numbers.zip(dispatch) {
                        numbers.push(dispatch.number);
                    }
                    instance.targets.push(target);
                    continue;
                }
            }
            // Programs that run once, or by a timer, belong to no process.
            let by_process = provider.phase() == Phase::Attached && context.program.belongs_to_a_process();
            self.instances.push(Instance {
                provider: *provider,
                probe_type: provider.probe_type(),
                probe,
                at: point.span,
                targets: vec![target],
                context,
                dispatch: dispatch
                    .map(|Dispatch { place, number }| typed::Dispatch { place, numbers: vec![number] }),
                expanded,
                filter_pid: self.options.filter_pid.filter(|_| by_process),
                locals: Vec::new(),
                uncalled: false,
            });
        }
        count
    }

    fn attach_error(
        &mut self,
        error: AttachError,
        text: &str,
        (provider, names): (&str, &[&str]),
        point: &ast::AttachPoint,
        expanded: Option<Expanded>,
    ) {
        let at = point.span;
        let missing = match &error {
            AttachError::Unknown { .. } | AttachError::NoMatch => true,
            AttachError::Form { .. } | AttachError::Unsupported { .. } | AttachError::Kernel(_) => false,
        };
        if missing {
            match self.config.missing_probes {
                MissingProbes::Error => {}
                MissingProbes::Warn => {
                    self.warn(Warning::MissingProbe { text: text.to_string(), at });
                    return;
                }
                MissingProbes::Ignore => return,
            }
        }
        let fact: Fact = match error {
            AttachError::Form { expected } => {
                // Providers describe the part behind their own name, or all of it.
                let first = expected.split(':').next().unwrap_or_default();
                let whole = names.iter().any(|name| first.eq_ignore_ascii_case(name));
                let expected = if whole || expected.is_empty() {
                    expected.to_string()
                } else {
                    format!("{provider}:{expected}")
                };
                let expected = if expected.is_empty() { provider.to_string() } else { expected };
                AttachFact::Form { text: text.to_string(), expected, at }.into()
            }
            AttachError::Unknown { what, name, nearest } => {
                let help = if nearest.is_empty() { None } else { Some(DidYouMean(nearest)) };
                AttachFact::Unknown { what, name, at, help }.into()
            }
            AttachError::NoMatch => AttachFact::NoMatch { text: text.to_string(), at }.into(),
            AttachError::Unsupported { reason } => {
                AttachFact::Unsupported { text: text.to_string(), reason, at }.into()
            }
            AttachError::Kernel(error) => Fact::kernel(error, at),
        };
        self.error(fact);
        if let Some(last) = self.errors.last_mut()
            && expanded.is_some()
        {
            last.expanded = expanded;
        }
    }

    /// Replaces `$1` and its kin; one that was not given is empty.
    fn with_positional(&self, text: &str) -> String {
        let mut whole = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let digits = rest[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
            let end = at + 1 + digits;
            whole.push_str(&rest[..at]);
            match rest[at + 1..end].parse::<usize>() {
                Ok(number) => whole.push_str(self.positional(number).unwrap_or("")),
                Err(_) => whole.push_str(&rest[at..end]),
            }
            rest = &rest[end..];
        }
        whole + rest
    }

    /// A positional parameter; they count from 1.
    pub(super) fn positional(&self, number: usize) -> Option<&str> {
        self.options.positional.get(number.checked_sub(1)?).map(String::as_str)
    }
}
