use std::sync::{Mutex, OnceLock};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::super::testing::{CHANNEL, TestChaincode, TestPeer, outcome};
use super::super::{ChaincodeConfig, ExecuteError, Executed};
use super::*;
use crate::container::{StartContainer, StopContainer, Vm, VmController, VmError, VmType};

/// A VM with one container, whose chaincode the test plays.
#[derive(Default)]
struct OneContainer {
    peer: OnceLock<TestPeer>,
    chaincode: Mutex<Option<TestChaincode>>,
    stopped: watch::Sender<bool>,
}

#[async_trait]
impl Vm for OneContainer {
    async fn start(&self, ccid: &Ccid, _: StartContainer) -> Result<(), VmError> {
        let chaincode = self.peer.get().unwrap().stream();
        chaincode.register(&ccid.to_string()).unwrap();
        *self.chaincode.lock().unwrap() = Some(chaincode);
        self.stopped.send_replace(false);
        Ok(())
    }

    async fn stop(&self, _: &Ccid, _: StopContainer) -> Result<(), VmError> {
        self.stopped.send_replace(true);
        let chaincode = self.chaincode.lock().unwrap().take();
        chaincode.ok_or_else(|| VmError::NotFound("cc".into()))?.peer.closed();
        Ok(())
    }

    async fn wait(&self, _: &Ccid) -> Result<i32, VmError> {
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
        Ok(0)
    }

    async fn health_check(&self) -> Result<(), VmError> {
        Ok(())
    }
}

struct Setting {
    vm: Arc<OneContainer>,
    replaced: mpsc::UnboundedSender<ReplacedChaincode>,
}

impl Setting {
    /// A peer on whose channel `cc` has this version, and which runs `cc:1.0`.
    async fn new(version: &str, execute_timeout: Duration) -> Self {
        let vm = Arc::new(OneContainer::default());
        let config = ChaincodeConfig { execute_timeout, ..ChaincodeConfig::default() };
        let peer = TestPeer::with(config, VmController::new([(VmType::System, Arc::clone(&vm) as Arc<dyn Vm>)]));
        peer.put("lscc", [("cc".to_owned(), format!("\x0a\x02cc\x12\x03{version}"))]);
        let (replaced, out_of_use) = mpsc::unbounded_channel();
        tokio::spawn(Retirement::new(peer.support.clone(), Arc::clone(&peer.ledgers)).run(out_of_use));
        assert!(vm.peer.set(peer).is_ok());
        let setting = Self { vm, replaced };
        setting.peer().support.launch(CHANNEL, &Ccid::new("cc", "1.0"), None).await.unwrap();
        setting
    }

    fn peer(&self) -> &TestPeer {
        self.vm.peer.get().unwrap()
    }

    fn chaincode(&self) -> TestChaincode {
        self.vm.chaincode.lock().unwrap().take().unwrap()
    }

    fn execute(&self, txid: &str) -> tokio::task::JoinHandle<Result<Executed, ExecuteError>> {
        self.peer().execute(self.peer().params(txid, CHANNEL), "cc")
    }

    fn replace(&self) {
        self.replaced.send(ReplacedChaincode { name: "cc".into(), version: "1.0".into() }).unwrap();
    }

    async fn is_stopped(&self) {
        let mut stopped = self.vm.stopped.subscribe();
        tokio::time::timeout(Duration::from_secs(10), stopped.wait_for(|stopped| *stopped)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_version_out_of_use_is_stopped_when_its_transactions_are_done() {
    let setting = Setting::new("2.0", Duration::from_secs(20)).await;
    let execution = setting.execute("t");
    let mut chaincode = setting.chaincode();
    let transaction = loop {
        let message = chaincode.next().await;
        if message.txid == "t" {
            break message;
        }
    };
    setting.replace();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!*setting.vm.stopped.borrow(), "it has a transaction");
    chaincode.complete(&transaction, "done");
    *setting.vm.chaincode.lock().unwrap() = Some(chaincode);
    assert_eq!(outcome(execution).await.unwrap(), "done");
    setting.is_stopped().await;
    assert!(setting.peer().support.registry().handler("cc:1.0").is_none());
}

#[tokio::test]
async fn a_transaction_that_does_not_end_is_cut_off_and_a_launch_that_comes_late_is_stopped_too() {
    let setting = Setting::new("2.0", Duration::from_millis(150)).await;
    let execution = setting.execute("t");
    setting.replace();
    setting.is_stopped().await;
    assert!(outcome(execution).await.is_err());

    // A transaction that had read the definition of before.
    setting.peer().support.launch(CHANNEL, &Ccid::new("cc", "1.0"), None).await.unwrap();
    setting.is_stopped().await;
}

#[tokio::test]
async fn a_version_that_some_channel_has_goes_on() {
    let setting = Setting::new("1.0", Duration::from_millis(20)).await;
    setting.replace();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!*setting.vm.stopped.borrow());
    assert!(setting.peer().support.registry().handler("cc:1.0").is_some());
}
