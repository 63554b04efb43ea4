//! Brings a chaincode up: starts its container and waits for its registration (Fabric: `RuntimeLauncher`).
//!
//! Invariant: whatever happens, a launch ends. It runs in a task of its own, so a caller who goes away takes nothing with
//! him; however that task ends, a failed launch leaves the registry and its waiters are released. (In Fabric a launch
//! whose package is missing stays behind, and later callers wait for ever.)

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::container_runtime::ContainerRuntime;
use super::handler_registry::{HandlerRegistry, Launching};
use super::launch_state::LaunchState;
use super::metrics::{ChaincodeMetrics, Outcome};
use super::{ContainerInfo, LaunchError, RegistrationError};
use crate::container::VmError;

/// Launches chaincode in its runtime.
#[derive(Clone)]
pub(super) struct RuntimeLauncher {
    pub(super) runtime: Arc<ContainerRuntime>,
    pub(super) registry: Arc<HandlerRegistry>,
    pub(super) startup_timeout: Duration,
    pub(super) metrics: Arc<ChaincodeMetrics>,
}

impl RuntimeLauncher {
    /// Resolves when the chaincode is ready. Callers for the same chaincode share one launch; dropping the future leaves
    /// the launch running.
    pub(super) async fn launch(&self, info: &ContainerInfo) -> Result<(), LaunchError> {
        let id = info.ccid.to_string();
        let began = Instant::now();
        let state = match self.registry.launching(info) {
            Launching::Underway(state) => state,
            Launching::Begun(state) => {
                let launch =
                    Launch { launcher: self.clone(), info: info.clone(), id: id.clone(), state: Arc::clone(&state) };
                tokio::spawn(launch.drive());
                state
            }
        };
        let outcome = state.ended().await;
        self.metrics.launched(&id, Outcome::of(&outcome), began.elapsed());
        outcome
    }

    /// Stops what was launched. Its stream ends with it, and that takes it out of the registry.
    pub(super) async fn stop(&self, info: &ContainerInfo) -> Result<(), VmError> {
        self.runtime.stop(info).await
    }
}

/// One launch, owned by its task. Dropping it is what ends the launch.
struct Launch {
    launcher: RuntimeLauncher,
    info: ContainerInfo,
    id: String,
    state: Arc<LaunchState>,
}

impl Launch {
    async fn drive(self) {
        let mut run = Box::pin(self.run());
        let ended = tokio::select! {
            biased;
            () = self.state.decided() => None,
            end = &mut run => {
                self.launcher.metrics.launch_failed(&self.id);
                self.state.fail(end.clone());
                Some(end)
            }
            () = tokio::time::sleep(self.launcher.startup_timeout) => {
                self.launcher.metrics.launch_timed_out(&self.id);
                let output = self.launcher.runtime.last_output(&self.info).await;
                self.state.fail(LaunchError::Timeout { id: self.id.clone(), output: output.into() });
                None
            }
        };
        if self.state.is_failing() {
            // One that is still in the VM's hands holds the container's lock, which the stop wants.
            drop(run);
            debug!("stopping chaincode {} due to error while launching", self.id);
            if let Err(error) = self.launcher.runtime.stop(&self.info).await {
                debug!("stop failed: {error}");
            }
            return;
        }
        // The chaincode serves. A VM cleans up after a container only while somebody waits for its end.
        let end = match ended {
            Some(end) => end,
            None => run.await,
        };
        match end {
            // It had registered long before.
            LaunchError::Registration(end) => info!("chaincode {}: {end}", self.id),
            end => info!("chaincode {}: {end}", self.id),
        }
    }

    /// Starts the container and waits for its end, which before READY is a failure.
    async fn run(&self) -> LaunchError {
        let runtime = &self.launcher.runtime;
        if let Err(error) = runtime.start(&self.info).await {
            return error;
        }
        LaunchError::Registration(match runtime.wait(&self.info).await {
            Ok(code) => {
                RegistrationError::Exited { code, output: self.launcher.runtime.last_output(&self.info).await.into() }
            }
            Err(error @ VmError::Terminated { .. }) => RegistrationError::Terminated(Arc::new(error)),
            Err(error) => RegistrationError::Wait(Arc::new(error)),
        })
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        self.state.fail(LaunchError::Abandoned(self.id.clone()));
        if self.state.is_failing() {
            self.launcher.registry.abandon(&self.id, &self.state);
            self.state.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, OnceLock};

    use async_trait::async_trait;
    use prost::Message;
    use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage};
    use tokio::sync::watch;
    use tokio::task::JoinSet;

    use super::super::message::{self, Type};
    use super::super::testing::{CHANNEL, TestChaincode, TestPeer};
    use super::super::{ChaincodeConfig, ChaincodeSupport};
    use super::*;
    use crate::container::{
        Budget, Ccid, ChaincodeStream, Pending, StartContainer, StopContainer, StreamAcceptor, StreamError, Vm,
        VmController, VmType,
    };

    /// A VM whose containers do what the test says.
    #[derive(Default)]
    struct ScriptedVm {
        peer: OnceLock<TestPeer>,
        script: Mutex<Script>,
        starts: AtomicUsize,
        stops: AtomicUsize,
        registered: Mutex<Vec<TestChaincode>>,
        exit: watch::Sender<Option<i32>>,
    }

    #[derive(Clone, Copy, Default)]
    enum Script {
        #[default]
        Register,
        Refuse,
        Exit,
        Hang,
        Stall,
        Panic,
        Overtaken,
    }

    fn register(id: &str) -> ChaincodeMessage {
        let id = ChaincodeId { name: id.to_owned(), ..ChaincodeId::default() };
        message::bare(Type::Register, id.encode_to_vec().into())
    }

    /// A chaincode in the midst of whose welcome another one comes under its name.
    struct Overtaken(ChaincodeSupport);

    impl ChaincodeStream for Overtaken {
        fn send(&self, _: ChaincodeMessage) -> Result<(), StreamError> {
            let other = self.0.accept(Arc::new(Self(self.0.clone())));
            assert!(other.receive(register("cc:1.0")).unwrap().is_none());
            Ok(())
        }

        fn execute(&self, _: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
            Ok(None)
        }
    }

    #[async_trait]
    impl Vm for ScriptedVm {
        async fn start(&self, ccid: &Ccid, _: StartContainer) -> Result<(), VmError> {
            self.starts.fetch_add(1, Ordering::SeqCst);
            self.exit.send_replace(None);
            let script = *self.script.lock().unwrap();
            match script {
                Script::Register => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let chaincode = self.peer.get().unwrap().stream();
                    chaincode.register(&ccid.to_string()).unwrap();
                    self.registered.lock().unwrap().push(chaincode);
                }
                Script::Refuse => return Err(VmError::Other("no".into())),
                Script::Exit => drop(self.exit.send_replace(Some(3))),
                Script::Hang => {}
                Script::Stall => std::future::pending().await,
                Script::Panic => panic!("scripted"),
                Script::Overtaken => {
                    let support = &self.peer.get().unwrap().support;
                    let chaincode = support.accept(Arc::new(Overtaken(support.clone())));
                    assert!(chaincode.receive(register(&ccid.to_string())).unwrap().is_none());
                }
            }
            Ok(())
        }

        async fn stop(&self, _: &Ccid, _: StopContainer) -> Result<(), VmError> {
            self.stops.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        async fn wait(&self, _: &Ccid) -> Result<i32, VmError> {
            let mut exit = self.exit.subscribe();
            let code = exit.wait_for(Option::is_some).await.unwrap();
            Ok(code.unwrap())
        }

        async fn health_check(&self) -> Result<(), VmError> {
            Ok(())
        }

        async fn last_output(&self, _: &Ccid) -> String {
            let script = *self.script.lock().unwrap();
            if matches!(script, Script::Exit) { "panic: out of\nluck".to_owned() } else { String::new() }
        }
    }

    fn peer() -> (Arc<ScriptedVm>, ChaincodeSupport) {
        let vm = Arc::new(ScriptedVm::default());
        let config = ChaincodeConfig { startup_timeout: Duration::from_millis(80), ..ChaincodeConfig::default() };
        let peer = TestPeer::with(config, VmController::new([(VmType::System, Arc::clone(&vm) as Arc<dyn Vm>)]));
        let support = peer.support.clone();
        assert!(vm.peer.set(peer).is_ok());
        (vm, support)
    }

    /// The outcomes of launches at the same time: how many succeeded, and the errors.
    async fn launch(support: &ChaincodeSupport, callers: usize) -> (usize, Vec<String>) {
        let mut launches = JoinSet::new();
        for _ in 0..callers {
            let support = support.clone();
            launches.spawn(async move {
                let launched = support.launch(CHANNEL, &Ccid::new("cc", "1.0"), None).await;
                launched.map(|_| ()).map_err(|error| error.to_string())
            });
        }
        let outcomes = tokio::time::timeout(Duration::from_secs(10), launches.join_all()).await;
        let (good, bad): (Vec<_>, Vec<_>) =
            outcomes.expect("every launch ends").into_iter().partition(|launched| launched.is_ok());
        (good.len(), bad.into_iter().filter_map(Result::err).collect())
    }

    #[tokio::test]
    async fn concurrent_first_calls_start_one_container() {
        let (vm, support) = peer();
        assert_eq!(launch(&support, 64).await, (64, vec![]));
        assert_eq!(launch(&support, 64).await, (64, vec![]));
        assert_eq!((vm.starts.load(Ordering::SeqCst), vm.stops.load(Ordering::SeqCst)), (1, 0));
    }

    #[tokio::test]
    async fn a_failed_launch_is_told_to_everyone_and_the_next_one_begins_anew() {
        let (vm, support) = peer();
        let scripts = [
            (Script::Refuse, "error starting container: error starting container: no"),
            (
                Script::Exit,
                "chaincode registration failed: container exited with 3; the end of its output:\npanic: out of\nluck",
            ),
            (Script::Hang, "timeout expired while starting chaincode cc:1.0 for transaction"),
            (Script::Stall, "timeout expired while starting chaincode cc:1.0 for transaction"),
            (Script::Panic, "the launch of chaincode cc:1.0 was abandoned"),
        ];
        for (n, (script, text)) in scripts.into_iter().enumerate() {
            *vm.script.lock().unwrap() = script;
            let text = format!("[channel ch] could not launch chaincode cc:1.0: {text}");
            assert_eq!(launch(&support, 8).await, (0, vec![text; 8]));
            assert_eq!(vm.starts.load(Ordering::SeqCst), n + 1);
        }
        assert_eq!(vm.stops.load(Ordering::SeqCst), 4, "a panic leaves nothing to stop");
        *vm.script.lock().unwrap() = Script::Register;
        assert_eq!(launch(&support, 8).await, (8, vec![]));
    }

    #[tokio::test]
    async fn a_refused_duplicate_fails_no_launch() {
        let (vm, support) = peer();
        *vm.script.lock().unwrap() = Script::Overtaken;
        assert_eq!(launch(&support, 8).await, (8, vec![]));
        assert_eq!((vm.starts.load(Ordering::SeqCst), vm.stops.load(Ordering::SeqCst)), (1, 0));
    }

    #[tokio::test]
    async fn a_chaincode_that_comes_after_the_timeout_is_refused() {
        let (vm, support) = peer();
        *vm.script.lock().unwrap() = Script::Hang;
        assert_eq!(launch(&support, 1).await.0, 0);
        let mut late = vm.peer.get().unwrap().stream();
        late.register("cc:1.0").unwrap();
        late.assert_silent();
        *vm.script.lock().unwrap() = Script::Register;
        assert_eq!(launch(&support, 1).await, (1, vec![]));
    }

    #[tokio::test]
    async fn a_chaincode_whose_stream_ended_is_launched_again() {
        let (vm, support) = peer();
        assert_eq!(launch(&support, 2).await, (2, vec![]));
        let chaincode = vm.registered.lock().unwrap().pop().unwrap();
        chaincode.peer.closed();
        vm.exit.send_replace(Some(0));
        assert_eq!(launch(&support, 2).await, (2, vec![]));
        assert_eq!(vm.starts.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_takes_no_launch_with_him() {
        let (vm, support) = peer();
        let ccid = Ccid::new("cc", "1.0");
        let gone = tokio::time::timeout(Duration::from_millis(1), support.launch(CHANNEL, &ccid, None)).await;
        assert!(gone.is_err());
        assert_eq!(launch(&support, 2).await, (2, vec![]));
        assert_eq!(vm.starts.load(Ordering::SeqCst), 1);
    }
}
