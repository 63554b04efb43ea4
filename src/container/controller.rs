//! Finds the VM for a container and keeps calls for one container apart (Fabric 1.4: `container.VMController`).
//!
//! Starting and stopping hold the container's lock, so they never overlap for one [`Ccid`], whatever its VM; waiting holds
//! none. Different containers run in parallel. A lock lives as long as somebody holds it or waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::{Ccid, ContainerStatus, LogLines, LogRequest, StartContainer, StopContainer, Vm, VmError, VmType};

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The peer's VMs, by type.
#[derive(Default)]
pub struct VmController {
    vms: BTreeMap<VmType, Arc<dyn Vm>>,
    locks: Mutex<HashMap<String, Lock>>,
}

impl VmController {
    /// A controller of these VMs.
    pub fn new(vms: impl IntoIterator<Item = (VmType, Arc<dyn Vm>)>) -> Self {
        Self { vms: vms.into_iter().collect(), locks: Mutex::default() }
    }

    /// Starts a container (Fabric: `StartContainerReq`). Dropping the future frees the lock; what the VM had begun is for
    /// [`Self::stop`] to remove.
    ///
    /// # Errors
    /// [`VmError::UnsupportedType`], or the VM's error behind `error starting container`.
    pub async fn start(&self, vm: VmType, ccid: &Ccid, request: StartContainer) -> Result<(), VmError> {
        let vm = self.vm(vm)?;
        let ticket = self.ticket(ccid);
        let _held = ticket.lock.lock().await;
        vm.start(ccid, request).await.map_err(behind("error starting container"))
    }

    /// Stops a container (Fabric: `StopContainerReq`).
    ///
    /// # Errors
    /// [`VmError::UnsupportedType`], or the VM's error behind `error stopping container`.
    pub async fn stop(&self, vm: VmType, ccid: &Ccid, request: StopContainer) -> Result<(), VmError> {
        let vm = self.vm(vm)?;
        let ticket = self.ticket(ccid);
        let _held = ticket.lock.lock().await;
        vm.stop(ccid, request).await.map_err(behind("error stopping container"))
    }

    /// Resolves with the exit code when the container has ended (Fabric: `WaitContainerReq`).
    ///
    /// # Errors
    /// [`VmError::UnsupportedType`], or the VM's error as it is.
    pub async fn wait(&self, vm: VmType, ccid: &Ccid) -> Result<i32, VmError> {
        self.vm(vm)?.wait(ccid).await
    }

    /// The end of what a container wrote, for an error about it; empty where nothing is known.
    pub async fn last_output(&self, vm: VmType, ccid: &Ccid) -> String {
        match self.vm(vm) {
            Ok(vm) => vm.last_output(ccid).await,
            Err(_) => String::new(),
        }
    }

    /// Removes what was made to run a chaincode, which must not run.
    ///
    /// # Errors
    /// [`VmError::UnsupportedType`], or the VM's error behind `error removing container`.
    pub async fn remove(&self, vm: VmType, ccid: &Ccid) -> Result<(), VmError> {
        let vm = self.vm(vm)?;
        let ticket = self.ticket(ccid);
        let _held = ticket.lock.lock().await;
        vm.remove(ccid).await.map_err(behind("error removing container"))
    }

    /// The containers of all VMs. One that cannot be asked has none, which the log says.
    pub async fn containers(&self) -> Vec<(VmType, ContainerStatus)> {
        let mut all = Vec::new();
        for (kind, vm) in &self.vms {
            match vm.containers().await {
                Ok(containers) => all.extend(containers.into_iter().map(|container| (*kind, container))),
                Err(error) => warn!("cannot list the containers of VM {kind}: {error}"),
            }
        }
        all
    }

    /// What a chaincode wrote to its log.
    ///
    /// # Errors
    /// [`VmError::UnsupportedType`], or the VM's error as it is.
    pub async fn logs(&self, vm: VmType, ccid: &Ccid, request: LogRequest) -> Result<LogLines, VmError> {
        self.vm(vm)?.logs(ccid, request).await
    }

    fn vm(&self, vm: VmType) -> Result<&dyn Vm, VmError> {
        self.vms.get(&vm).map(|vm| &**vm).ok_or(VmError::UnsupportedType(vm))
    }

    fn ticket(&self, ccid: &Ccid) -> Ticket<'_> {
        let name = ccid.container_name();
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(locks.entry(name.clone()).or_default());
        Ticket { locks: &self.locks, name, lock }
    }
}

/// One caller's share in a container's lock, taken before the wait so that a caller who gives up is counted out again.
struct Ticket<'a> {
    locks: &'a Mutex<HashMap<String, Lock>>,
    name: String,
    lock: Lock,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's share and this one: nobody else holds the lock or waits for it.
        if Arc::strong_count(&self.lock) == 2 {
            locks.remove(&self.name);
        }
    }
}

fn behind(what: &'static str) -> impl FnOnce(VmError) -> VmError {
    move |source| VmError::Request { what, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;

    /// Refuses to stop, and counts how many starts run side by side.
    #[derive(Default)]
    struct CountingVm {
        running: AtomicUsize,
        most: AtomicUsize,
    }

    #[async_trait]
    impl Vm for CountingVm {
        async fn start(&self, _: &Ccid, _: StartContainer) -> Result<(), VmError> {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }

        async fn stop(&self, ccid: &Ccid, _: StopContainer) -> Result<(), VmError> {
            Err(VmError::NotRunning(ccid.container_name()))
        }

        async fn wait(&self, _: &Ccid) -> Result<i32, VmError> {
            Ok(7)
        }

        async fn health_check(&self) -> Result<(), VmError> {
            Ok(())
        }
    }

    async fn most_at_once(names: [&str; 8]) -> usize {
        let vm = Arc::new(CountingVm::default());
        let controller = Arc::new(VmController::new([(VmType::System, Arc::clone(&vm) as Arc<dyn Vm>)]));
        let mut starts = tokio::task::JoinSet::new();
        for name in names {
            let (controller, ccid) = (Arc::clone(&controller), Ccid::new(name, "1.0"));
            starts.spawn(async move { controller.start(VmType::System, &ccid, StartContainer::default()).await });
        }
        assert!(starts.join_all().await.into_iter().all(|start| start.is_ok()));
        assert!(controller.locks.lock().unwrap().is_empty(), "unused locks vanish");
        vm.most.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn calls_for_one_container_never_overlap_and_others_run_in_parallel() {
        assert_eq!(most_at_once(["a"; 8]).await, 1);
        assert!(most_at_once(["a", "b", "c", "d", "e", "f", "g", "h"]).await > 1);
    }

    #[tokio::test]
    async fn errors_carry_fabrics_prefix() {
        let controller = VmController::new([(VmType::System, Arc::new(CountingVm::default()) as Arc<dyn Vm>)]);
        let ccid = Ccid::new("qscc", "1.4.12");
        let stop = controller.stop(VmType::System, &ccid, StopContainer::default()).await.unwrap_err();
        assert_eq!(stop.to_string(), "error stopping container: qscc-1.4.12 not running");
        let start = controller.start(VmType::Docker, &ccid, StartContainer::default()).await.unwrap_err();
        assert_eq!(start.to_string(), "unsupported VM type: DOCKER");
        assert_eq!(controller.wait(VmType::System, &ccid).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_no_lock_behind() {
        let controller = VmController::new([(VmType::System, Arc::new(CountingVm::default()) as Arc<dyn Vm>)]);
        let ccid = Ccid::new("a", "1.0");
        let holder = controller.start(VmType::System, &ccid, StartContainer::default());
        let waiter = controller.start(VmType::System, &ccid, StartContainer::default());
        let (held, gave_up) = tokio::join!(holder, tokio::time::timeout(Duration::ZERO, waiter));
        assert!(held.is_ok() && gave_up.is_err());
        assert!(controller.locks.lock().unwrap().is_empty());
    }
}
