'use strict';

// Submits a transaction in the name of an identity and waits for the event that the chaincode sets in it:
//
//     node application.js connection.json MSP_FOLDER CHAINCODE FUNCTION [ARGUMENT...]

const fs = require('fs');
const path = require('path');
const { Gateway } = require('fabric-network');

/** The identity in an MSP folder, such as the node's data/development/users/User1/msp. */
function identity(mspId, folder) {
    const only = name => {
        const [file] = fs.readdirSync(path.join(folder, name));
        return fs.readFileSync(path.join(folder, name, file), 'utf8');
    };
    return { type: 'X.509', mspId, credentials: { certificate: only('signcerts'), privateKey: only('keystore') } };
}

async function main([file, msp, chaincode, name, ...args]) {
    const profile = JSON.parse(fs.readFileSync(file, 'utf8'));
    const { mspid } = profile.organizations[profile.client.organization];
    const [channel] = Object.keys(profile.channels);

    const gateway = new Gateway();
    await gateway.connect(profile, { identity: identity(mspid, msp), discovery: { enabled: false } });
    try {
        const network = await gateway.getNetwork(channel);
        const contract = network.getContract(chaincode);
        const transaction = contract.createTransaction(name);
        let hear;
        const heard = new Promise(resolve => { hear = resolve; });
        // Before submitting, so that nothing is missed.
        await contract.addContractListener(async event => {
            if (event.getTransactionEvent().transactionId === transaction.getTransactionId()) hear(event);
        }, { type: 'full' });

        const answer = await transaction.submit(...args);
        console.log(`committed: ${answer}`);
        const event = await heard;
        const { blockNumber } = event.getTransactionEvent().getBlockEvent();
        console.log(`event ${event.eventName} in block ${blockNumber}: ${event.payload}`);
    } finally {
        gateway.disconnect();
    }
}

main(process.argv.slice(2)).catch(error => {
    console.error(error.message);
    process.exitCode = 1;
});
