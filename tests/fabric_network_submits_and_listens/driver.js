'use strict';

// Does what the test asks for with npm's fabric-network. One request of JSON a line on standard input, {id, does, ...}; one
// answer a line on standard output, {id, value} or {id, error}.

const readline = require('readline');
const { DefaultCheckpointers, DefaultEventHandlerStrategies, Gateway } = require('fabric-network');

const gateways = new Map();
const listeners = new Map();

/** How long a listener waits for what the test says will come. */
const PATIENCE = 30_000;

function contractOf({ gateway, channel, chaincode }) {
    return gateways.get(gateway).getNetwork(channel).then(network => network.getContract(chaincode));
}

async function transactionOf(request) {
    const transaction = (await contractOf(request)).createTransaction(request.function);
    const transient = Object.entries(request.transient || {}).map(([name, value]) => [name, Buffer.from(value, 'base64')]);
    if (transient.length > 0) transaction.setTransient(Object.fromEntries(transient));
    if (request.strategy) transaction.setEventHandler(DefaultEventHandlerStrategies[request.strategy]);
    return transaction;
}

/** What is worth comparing of a block, whichever form it came in. */
function blockEvent(event) {
    return {
        block: Number(event.blockNumber),
        transactions: event.getTransactionEvents().map(transaction => ({
            id: transaction.transactionId,
            status: transaction.status,
            valid: transaction.isValid,
            events: transaction.getContractEvents().map(({ chaincodeId, eventName, payload }) => ({
                chaincode: chaincodeId,
                name: eventName,
                payload: payload ? payload.toString() : '',
            })),
        })),
    };
}

function contractEvent(event) {
    const transaction = event.getTransactionEvent();
    return {
        chaincode: event.chaincodeId,
        name: event.eventName,
        payload: event.payload ? event.payload.toString() : '',
        transaction: transaction.transactionId,
        block: Number(transaction.getBlockEvent().blockNumber),
    };
}

/** Resolves when `count` events came, or the time is up: the test says what is missing. */
async function enough(listener, count) {
    const end = Date.now() + PATIENCE;
    while (listener.events.length < count && Date.now() < end) {
        await new Promise(resolve => setTimeout(resolve, 10));
    }
    return listener.events;
}

const actions = {
    async connect({ gateway, profile, identity, tls, strategy }) {
        const made = new Gateway();
        gateways.set(gateway, made);
        await made.connect(profile, {
            identity: { type: 'X.509', mspId: identity.mspId, credentials: identity },
            discovery: { enabled: false },
            eventHandlerOptions: { strategy: DefaultEventHandlerStrategies[strategy || 'MSPID_SCOPE_ALLFORTX'] },
            tlsInfo: tls,
        });
    },
    async evaluate(request) {
        const transaction = await transactionOf(request);
        const payload = await transaction.evaluate(...request.args);
        return { payload: payload.toString('base64'), transaction: transaction.getTransactionId() };
    },
    async submit(request) {
        const transaction = await transactionOf(request);
        const payload = await transaction.submit(...request.args);
        return { payload: payload.toString('base64'), transaction: transaction.getTransactionId() };
    },
    async listen({ listener, gateway, channel, chaincode, type, startBlock, checkpoint }) {
        const options = { type, startBlock };
        if (checkpoint) options.checkpointer = await DefaultCheckpointers.file(checkpoint);
        const made = { events: [] };
        listeners.set(listener, made);
        const network = await gateways.get(gateway).getNetwork(channel);
        if (chaincode) {
            const contract = network.getContract(chaincode);
            const hear = async event => { made.events.push(contractEvent(event)); };
            await contract.addContractListener(hear, options);
            made.stop = () => contract.removeContractListener(hear);
        } else {
            const hear = async event => { made.events.push(blockEvent(event)); };
            await network.addBlockListener(hear, options);
            made.stop = () => network.removeBlockListener(hear);
        }
    },
    heard: ({ listener, count }) => enough(listeners.get(listener), count),
    stop({ listener }) {
        listeners.get(listener).stop();
        listeners.delete(listener);
    },
    disconnect({ gateway }) {
        gateways.get(gateway).disconnect();
        gateways.delete(gateway);
    },
};

function described(error) {
    const { name, message, transactionCode, transactionId } = error;
    return { name, message, code: transactionCode, transaction: transactionId };
}

async function answer(line) {
    const { id, does, ...request } = JSON.parse(line);
    try {
        return { id, value: (await actions[does](request)) ?? null };
    } catch (error) {
        return { id, error: described(error) };
    }
}

const requests = readline.createInterface({ input: process.stdin });
requests.on('line', line => answer(line).then(reply => process.stdout.write(`${JSON.stringify(reply)}\n`)));
requests.on('close', () => process.exit(0));
