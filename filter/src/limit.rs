//! How many audit lines a second: in all, and for the workloads of one namespace.

/// Lines a second in all, on one worker; beyond it, only the first of each namespace.
const MAX_LINES: u32 = 100;
/// Lines a second for the workloads of one namespace, so that a noisy one hides nobody else's refusals.
const MAX_LINES_PER_NAMESPACE: u32 = 20;
/// Namespaces that are counted by name within a second; those beyond share one count.
const MAX_NAMESPACES: usize = 100;
/// What stands for namespaces beyond those that are counted by name.
const OTHER_NAMESPACES: &str = "other";

/// The lines of the current second. All plugins of a worker share them, and an update does not renew them.
#[derive(Default)]
pub(crate) struct Limit {
    /// Which second it is; not known where Envoy does not tell the time.
    at: Option<i64>,
    written: u32,
    namespaces: Vec<(Box<str>, Count)>,
}

#[derive(Default)]
struct Count {
    written: u32,
    suppressed: u32,
}

impl Limit {
    /// Begins a new second where one has passed, and returns the one that has.
    pub(crate) fn renew(&mut self, now: Option<i64>) -> Option<Self> {
        let same = now.is_some() && self.at == now;
        (!same).then(|| std::mem::replace(self, Self { at: now, ..Self::default() }))
    }

    /// How many lines of each namespace were not written, where there were any.
    pub(crate) fn suppressed(&self) -> impl Iterator<Item = (&str, u32)> {
        self.namespaces
            .iter()
            .filter(|(_, count)| count.suppressed > 0)
            .map(|(namespace, count)| (&**namespace, count.suppressed))
    }

    /// Whether a line of this namespace may be written; it is counted either way.
    pub(crate) fn admit(&mut self, namespace: &str) -> bool {
        let written = self.written;
        let Some(count) = self.count_of(namespace) else {
            return false;
        };
        // The first line of a namespace is always written, whatever others have used up.
        let admitted = count.written == 0 || (written < MAX_LINES && count.written < MAX_LINES_PER_NAMESPACE);
        if admitted {
            count.written += 1;
            self.written += 1;
        } else {
            count.suppressed = count.suppressed.saturating_add(1);
        }
        admitted
    }

    /// The count of a namespace, or of those beyond the bound.
    fn count_of(&mut self, namespace: &str) -> Option<&mut Count> {
        let is_known =
            |counts: &[(Box<str>, Count)], name: &str| counts.iter().any(|(known, _)| **known == *name);
        let room = self.namespaces.len() < MAX_NAMESPACES;
        let name = if room || is_known(&self.namespaces, namespace) { namespace } else { OTHER_NAMESPACES };
        if !is_known(&self.namespaces, name) {
            self.namespaces.push((name.into(), Count::default()));
        }
        self.namespaces.iter_mut().find(|(known, _)| **known == *name).map(|(_, count)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_namespace_hides_nobody_else() {
        let mut second = Limit::default();
        let written = |second: &mut Limit, namespace: &str, lines: u32| {
            (0..lines).filter(|_| second.admit(namespace)).count()
        };
        assert_eq!(written(&mut second, "noisy", 10_000), 20);
        assert_eq!(written(&mut second, "quiet", 1), 1);
        assert_eq!(second.namespaces[0].1.suppressed, 9_980);
    }

    #[test]
    fn the_total_and_the_names_are_bounded() {
        let mut second = Limit::default();
        let lines = (0..10_000).filter(|at| second.admit(&format!("ns-{}", at % 1_000))).count();
        // Each of a hundred namespaces has its first line, and the rest together has one.
        assert_eq!(lines, 101);
        assert!(second.namespaces.len() <= MAX_NAMESPACES + 1);
        let suppressed: u32 = second.namespaces.iter().map(|(_, count)| count.suppressed).sum();
        assert_eq!(suppressed, 10_000 - 101);
    }

    #[test]
    fn many_noisy_namespaces_hide_nobody_either() {
        let mut second = Limit::default();
        let lines = (0..10_000).filter(|at| second.admit(&format!("noisy-{}", at % 10))).count();
        assert_eq!(lines, 100);
        assert!(second.admit("quiet"));
        assert!(!second.admit("quiet"));
    }

    #[test]
    fn a_second_is_told_of_once_however_many_plugins_tick() {
        let mut second = Limit::default();
        assert!(second.renew(Some(7)).is_some());
        assert!((0..30).filter(|_| second.admit("noisy")).count() == 20);
        assert!(second.renew(Some(7)).is_none());
        assert_eq!(second.renew(Some(8)).unwrap().namespaces[0].1.suppressed, 10);
        assert!(second.admit("noisy"));
    }
}
