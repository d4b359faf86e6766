//! Why a verdict is what it is: the steps that led there, and what each policy that applies answered.

mod fields;
mod policies;
mod steps;

use crate::judge::{Judge, Judgement};
use crate::request::Request;
use crate::terminal::one_line;
use policies::PolicyAnswer;
use serde::Serialize;
use std::fmt::Write as _;
use steps::StepResult;

/// Policies that do not match are listed up to this many; a mesh may have thousands.
const LISTED: usize = 20;

/// A verdict, explained.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    #[serde(flatten)]
    outcome: Judgement,
    steps: Vec<StepResult>,
    policies: Vec<PolicyAnswer>,
    /// Whether the verdict got as far as the policies.
    #[serde(skip)]
    asked: bool,
}

impl Explanation {
    pub(crate) fn new(judge: &Judge, request: &Request) -> Self {
        let mut taken = steps::Taken::default();
        let outcome = judge.judge_traced(request, &mut taken);
        let facts = request.facts(judge.engine.settings());
        Self {
            steps: steps::describe(&taken, judge.engine.settings(), request, &facts, &outcome),
            // What falls before the policies, no policy has been asked about.
            policies: if taken.reached_policies() {
                policies::answers(judge, request, &facts)
            } else {
                Vec::new()
            },
            asked: taken.reached_policies(),
            outcome,
        }
    }

    pub(crate) fn denies(&self) -> bool {
        self.outcome.verdict == "deny"
    }

    /// For people.
    pub(crate) fn text(&self, all: bool, color: bool) -> String {
        let mut text = String::new();
        let code = if self.denies() { 31 } else { 32 };
        let verdict = if color {
            format!("\x1b[1;{code}m{}\x1b[0m", self.outcome.verdict)
        } else {
            self.outcome.verdict.to_owned()
        };
        let reason = self.outcome.reason.as_deref().unwrap_or("mode DRY_RUN lets everything pass");
        let _ = writeln!(text, "verdict: {verdict}\nreason:  {}", one_line(reason));
        if let Some(would) = &self.outcome.dry_run_verdict {
            let _ = writeln!(text, "would:   {would}");
        }
        for audit in &self.outcome.audit {
            let _ = writeln!(text, "audit:   {audit}");
        }
        let _ = writeln!(text, "\nSteps");
        let width = self.steps.iter().map(|step| step.step.len()).max().unwrap_or_default();
        for step in &self.steps {
            let _ = writeln!(text, "  {}  {:width$}  {}", step.number, step.step, one_line(&step.result));
        }
        let _ = writeln!(text, "\nPolicies that apply");
        if self.policies.is_empty() {
            let none = if self.asked { "none" } else { "none was asked: the verdict fell before" };
            let _ = writeln!(text, "  {none}");
        }
        let mut silent = 0;
        for answer in &self.policies {
            if !all && !answer.applies_to_protocol() {
                silent += 1;
                if silent > LISTED {
                    continue;
                }
            }
            answer.write(&mut text);
        }
        if silent > LISTED {
            let _ = writeln!(text, "  and {} more that do not match; --all lists them", silent - LISTED);
        }
        text
    }
}
