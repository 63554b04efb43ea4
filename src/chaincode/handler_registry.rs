//! Who runs and who is being launched, by chaincode id (Fabric: `HandlerRegistry`, also its `LaunchRegistry`).
//!
//! Invariant: only the handler that owns an entry takes it out. (In Fabric a refused duplicate removes the good entry when
//! it leaves.) An entry in `launching` lives as long as the chaincode runs, so finding one means "starting or running".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handler::{HandlerStatus, Origin};
use super::launch_state::LaunchState;
use super::{ChaincodeMode, ContainerInfo, Handler, LaunchError, RegistrationError};

/// The peer's handlers and launches.
#[derive(Default)]
pub struct HandlerRegistry {
    mode: ChaincodeMode,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    handlers: HashMap<String, Arc<Handler>>,
    launching: HashMap<String, Arc<LaunchState>>,
}

/// Who starts the container.
pub(super) enum Launching {
    /// The caller: nobody else does.
    Begun(Arc<LaunchState>),
    /// Somebody else did.
    Underway(Arc<LaunchState>),
}

impl HandlerRegistry {
    /// An empty registry; in dev mode it takes in chaincode that nobody launched.
    pub fn new(mode: ChaincodeMode) -> Self {
        Self { mode, entries: Mutex::default() }
    }

    /// The handler of a chaincode that is ready.
    pub fn handler(&self, id: &str) -> Option<Arc<Handler>> {
        self.entries().handlers.get(id).filter(|handler| handler.is_ready()).cloned()
    }

    /// What is to be told about all that have registered.
    pub(super) fn statuses(&self) -> Vec<HandlerStatus> {
        let handlers: Vec<_> = self.entries().handlers.values().cloned().collect();
        handlers.iter().filter_map(|handler| handler.status()).collect()
    }

    /// Joins the launch of a chaincode, or begins it.
    pub(super) fn launching(&self, info: &ContainerInfo) -> Launching {
        let id = info.ccid.to_string();
        let mut entries = self.entries();
        if let Some(state) = entries.launching.get(&id) {
            return Launching::Underway(Arc::clone(state));
        }
        let state = Arc::new(LaunchState::launched(info.clone()));
        entries.launching.insert(id, Arc::clone(&state));
        Launching::Begun(state)
    }

    /// What was launched under an id and runs, or starts.
    pub(super) fn launched(&self, id: &str) -> Option<ContainerInfo> {
        self.state(id)?.info().cloned()
    }

    /// Enters a handler under its chaincode's id.
    pub(super) fn register(&self, id: &str, handler: &Arc<Handler>) -> Result<(), RegistrationError> {
        let mut entries = self.entries();
        if entries.handlers.contains_key(id) {
            return Err(RegistrationError::Duplicate(id.to_owned()));
        }
        let launch = entries.launching.get(id);
        if launch.is_none_or(|state| state.is_failing()) {
            // One whose launch is failing is being stopped, whoever opened its stream.
            let wanted = launch.is_none() && handler.origin() == Origin::Dialled;
            if self.mode == ChaincodeMode::Net && !wanted {
                return Err(RegistrationError::Unsolicited(id.to_owned()));
            }
            entries.launching.insert(id.to_owned(), Arc::new(LaunchState::unsolicited()));
        }
        entries.handlers.insert(id.to_owned(), Arc::clone(handler));
        Ok(())
    }

    /// The chaincode is ready: its launch has succeeded.
    pub(super) fn ready(&self, id: &str) {
        if let Some(state) = self.state(id) {
            state.ready();
        }
    }

    /// The chaincode could not register: its launch, if it has one that is undecided, has failed.
    pub(super) fn failed(&self, id: &str, error: RegistrationError) {
        if let Some(state) = self.state(id) {
            state.fail(LaunchError::Registration(error));
        }
    }

    /// Takes out a handler whose stream ended, unless the entry is another's.
    pub(super) fn deregister(&self, id: &str, handler: &Handler) {
        let mut entries = self.entries();
        if entries.handlers.get(id).is_some_and(|owner| std::ptr::eq(&**owner, handler)) {
            entries.handlers.remove(id);
            if let Some(state) = entries.launching.get(id) {
                state.fail(LaunchError::Registration(RegistrationError::StreamTerminated));
                // A launch that fails is taken out by its launcher, after it has stopped the container.
                if !state.is_failing() {
                    entries.launching.remove(id);
                }
            }
        }
    }

    /// Takes out a failed launch and whatever registered in its course.
    pub(super) fn abandon(&self, id: &str, failed: &Arc<LaunchState>) {
        let mut entries = self.entries();
        if entries.launching.get(id).is_some_and(|state| Arc::ptr_eq(state, failed)) {
            entries.launching.remove(id);
            entries.handlers.remove(id);
        }
    }

    fn state(&self, id: &str) -> Option<Arc<LaunchState>> {
        self.entries().launching.get(id).cloned()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
