//! One launch, as everyone who waits for it sees it (Fabric: `LaunchState`).
//!
//! Invariant: the first outcome stays. A failure is told to the waiters only when the launcher has cleaned up, so that
//! whoever retries then begins a new launch.

use tokio::sync::watch;

use super::{ContainerInfo, LaunchError};

/// A launch that is under way, or its outcome.
#[derive(Debug)]
pub(super) struct LaunchState {
    phase: watch::Sender<Phase>,
    /// What was launched; none for a registration that nobody launched.
    info: Option<ContainerInfo>,
}

#[derive(Clone, Debug)]
enum Phase {
    Starting,
    Failing(LaunchError),
    Ended(Result<(), LaunchError>),
}

impl LaunchState {
    /// A launch that a launcher drives: it must call [`Self::end`] after a failure.
    pub(super) fn launched(info: ContainerInfo) -> Self {
        Self { phase: watch::Sender::new(Phase::Starting), info: Some(info) }
    }

    /// A registration that nobody launched (dev mode).
    pub(super) fn unsolicited() -> Self {
        Self { phase: watch::Sender::new(Phase::Starting), info: None }
    }

    /// What was launched.
    pub(super) fn info(&self) -> Option<&ContainerInfo> {
        self.info.as_ref()
    }

    /// The chaincode is ready.
    pub(super) fn ready(&self) {
        self.decide(Phase::Ended(Ok(())));
    }

    /// The launch failed.
    pub(super) fn fail(&self, error: LaunchError) {
        self.decide(match self.info {
            Some(_) => Phase::Failing(error),
            None => Phase::Ended(Err(error)),
        });
    }

    fn decide(&self, outcome: Phase) {
        self.phase.send_if_modified(|phase| {
            let undecided = matches!(phase, Phase::Starting);
            if undecided {
                *phase = outcome;
            }
            undecided
        });
    }

    /// Whether the launch failed and is being cleaned up.
    pub(super) fn is_failing(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Failing(_))
    }

    /// Resolves as soon as there is an outcome, for the launcher.
    pub(super) async fn decided(&self) {
        // The sender is `self`, so the channel cannot close under us.
        let _ = self.phase.subscribe().wait_for(|phase| !matches!(phase, Phase::Starting)).await;
    }

    /// Releases the waiters of a failed launch, after the clean-up.
    pub(super) fn end(&self) {
        self.phase.send_if_modified(|phase| {
            let Phase::Failing(error) = phase else { return false };
            *phase = Phase::Ended(Err(error.clone()));
            true
        });
    }

    /// Resolves with the outcome, for everyone who needs the chaincode.
    pub(super) async fn ended(&self) -> Result<(), LaunchError> {
        let mut phases = self.phase.subscribe();
        loop {
            if let Phase::Ended(outcome) = &*phases.borrow_and_update() {
                return outcome.clone();
            }
            // The sender is `self`, so the channel cannot close under us.
            let _ = phases.changed().await;
        }
    }
}
