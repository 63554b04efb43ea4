'use strict';

// One function for each thing that a stub can do, on every release of the shim that has it. What a function finds out it
// returns as JSON; what it throws becomes an error response, but for `escape`.
//
// With CHAINCODE_SERVER_ADDRESS it is a service, otherwise it dials --peer.address.

const crypto = require('crypto');
const fs = require('fs');
const shim = require('fabric-shim');

const MEBIBYTE = 1 << 20;
const numbered = (prefix, number) => prefix + String(number).padStart(3, '0');
const text = value => Buffer.from(value).toString();
const sha256 = value => crypto.createHash('sha256').update(value).digest('hex');
const letter = index => String.fromCharCode(97 + index);

/** Up to `limit` rows of what a query returned; closes the iterator, unless it is to be left open. */
async function rows(query, limit = Infinity, end = 'close') {
    const { iterator = query, metadata } = query;
    const found = [];
    while (found.length < limit) {
        const next = await iterator.next();
        if (next.value) found.push(next.value);
        if (next.done) break;
    }
    if (end === 'close') await iterator.close();
    return { found, page: metadata && [Number(metadata.fetchedRecordsCount), metadata.bookmark] };
}

/** How many rows there were, the first and the last. */
function ends({ found, page }) {
    const keys = found.map(row => row.key);
    return page ? [keys.length, keys[0], keys.at(-1), ...page] : [keys.length, keys[0], keys.at(-1)];
}

const pairs = ({ found }) => found.map(row => [row.key, text(row.value)]);

const functions = {
    // State.
    async get(stub, key) {
        return text(await stub.getState(key));
    },
    async put(stub, key, value) {
        await stub.putState(key, Buffer.from(value));
    },
    async delete(stub, key) {
        await stub.deleteState(key);
    },
    async getThenPutThenGet(stub, key, value) {
        const before = text(await stub.getState(key));
        await stub.putState(key, Buffer.from(value));
        return [before, text(await stub.getState(key))];
    },
    async putMany(stub, prefix, count) {
        for (let number = 0; number < Number(count); number++) {
            await stub.putState(numbered(prefix, number), Buffer.from(`v${number}`));
        }
        return Number(count);
    },
    async putMebibyte(stub, key) {
        const value = Buffer.alloc(MEBIBYTE, key);
        await stub.putState(key, value);
        return sha256(value);
    },
    async getMebibyte(stub, key) {
        const value = await stub.getState(key);
        return [value.length, sha256(value)];
    },
    // Requests of one transaction at a time: the shim puts them in a queue.
    async getManyAtOnce(stub, prefix, count) {
        const keys = Array.from({ length: Number(count) }, (_, number) => numbered(prefix, number));
        return (await Promise.all(keys.map(key => stub.getState(key)))).map(text).join(' ');
    },

    // Ranges.
    async range(stub, start, end, limit, closed) {
        return ends(await rows(await stub.getStateByRange(start, end), Number(limit) || Infinity, closed));
    },
    async rangeOfAwait(stub, start, end) {
        let count = 0;
        for await (const row of stub.getStateByRange(start, end)) count += row.key ? 1 : 0;
        return count;
    },
    async rangeThenPut(stub, start, end, key) {
        const { found } = await rows(await stub.getStateByRange(start, end));
        await stub.putState(key, Buffer.from(String(found.length)));
        return found.length;
    },
    async interleaved(stub, start, end) {
        const [one, other] = [await stub.getStateByRange(start, end), await stub.getStateByRange(start, end)];
        let same = 0;
        for (;;) {
            const [left, right] = [await one.next(), await other.next()];
            if (left.done && right.done) return same;
            if (left.value.key !== right.value.key) return -1;
            same += 1;
        }
    },
    async page(stub, start, end, size, bookmark) {
        return ends(await rows(await stub.getStateByRangeWithPagination(start, end, Number(size), bookmark)));
    },
    async pageThenPut(stub, start, end, size, key) {
        await rows(await stub.getStateByRangeWithPagination(start, end, Number(size), ''));
        await stub.putState(key, Buffer.from('x'));
    },

    // Composite keys.
    async putComposite(stub, type, ...attributes) {
        await stub.putState(stub.createCompositeKey(type, attributes), Buffer.from('c'));
    },
    async composite(stub, type, ...attributes) {
        const { found } = await rows(await stub.getStateByPartialCompositeKey(type, attributes));
        return found.map(row => stub.splitCompositeKey(row.key)).map(key => [key.objectType, ...key.attributes]);
    },
    async compositePage(stub, size, bookmark, type, ...attributes) {
        const page = await stub.getStateByPartialCompositeKeyWithPagination(type, attributes, Number(size), bookmark);
        const { found, page: [count, next] } = await rows(page);
        return [found.map(row => stub.splitCompositeKey(row.key).attributes.join('-')), count, next.split('\0')];
    },

    // Rich queries and history.
    async rich(stub, query) {
        return pairs(await rows(await stub.getQueryResult(query)));
    },
    async richPages(stub, query, size) {
        const pages = [];
        for (let bookmark = ''; ;) {
            const found = await rows(await stub.getQueryResultWithPagination(query, Number(size), bookmark));
            if (found.page[0] !== found.found.length) throw new Error(`${found.page[0]} is not the count`);
            if (!found.found.length) return pages;
            pages.push(found.found.map(row => row.key));
            bookmark = found.page[1];
        }
    },
    async history(stub, key) {
        const { found } = await rows(await stub.getHistoryForKey(key));
        return found.map(change => [text(change.value), change.isDelete, /^[0-9a-f]{64}$/.test(change.txId)]);
    },

    // Private data.
    async privatePut(stub, collection, key) {
        await stub.putPrivateData(collection, key, stub.getTransient().get('value'));
    },
    async privateGet(stub, collection, key) {
        return text(await stub.getPrivateData(collection, key));
    },
    async privateDelete(stub, collection, key) {
        await stub.deletePrivateData(collection, key);
    },
    async privatePurge(stub, collection, key) {
        await stub.purgePrivateData(collection, key);
    },
    async privateHash(stub, collection, key) {
        return Buffer.from(await stub.getPrivateDataHash(collection, key)).toString('hex');
    },
    async privateRange(stub, collection, start, end) {
        const { found } = await rows(await stub.getPrivateDataByRange(collection, start, end));
        return ends({ found });
    },
    async privateRangeThenPut(stub, collection, key) {
        await rows(await stub.getPrivateDataByRange(collection, '', ''));
        await stub.putState(key, Buffer.from('x'));
    },
    async privateComposite(stub, collection, type, ...attributes) {
        const { found } = await rows(await stub.getPrivateDataByPartialCompositeKey(collection, type, attributes));
        return found.map(row => stub.splitCompositeKey(row.key).attributes);
    },
    async privateRich(stub, collection, query) {
        return pairs(await rows(await stub.getPrivateDataQueryResult(collection, query)));
    },

    // Policies of keys.
    async setPolicy(stub, key, role, mspid) {
        const policy = new shim.KeyEndorsementPolicy();
        policy.addOrgs(role, mspid);
        await stub.setStateValidationParameter(key, policy.getPolicy());
    },
    async policy(stub, key) {
        const policy = await stub.getStateValidationParameter(key);
        return policy ? new shim.KeyEndorsementPolicy(policy).listOrgs() : null;
    },
    async setPrivatePolicy(stub, collection, key, mspid) {
        const policy = new shim.KeyEndorsementPolicy();
        policy.addOrgs('MEMBER', mspid);
        await stub.setPrivateDataValidationParameter(collection, key, policy.getPolicy());
    },
    async privatePolicy(stub, collection, key) {
        const policy = await stub.getPrivateDataValidationParameter(collection, key);
        return policy ? new shim.KeyEndorsementPolicy(policy).listOrgs() : null;
    },

    // Other chaincode.
    async call(stub, name, channel, ...args) {
        const { status, message, payload } = await stub.invokeChaincode(name, args, channel);
        return { status, message, payload: text(payload) };
    },
    async height(stub, channel) {
        const { status, payload } = await stub.invokeChaincode('qscc', ['GetChainInfo', channel], channel);
        return [status, payload.length > 0];
    },
    async callThenPut(stub, name, key, value) {
        await stub.invokeChaincode(name, ['put', key, value], '');
        await stub.putState(key, Buffer.from(`outer ${value}`));
    },
    async callForEvent(stub, name) {
        stub.setEvent('caller', Buffer.from('mine'));
        await stub.invokeChaincode(name, ['event', 'callee', 'its'], '');
    },

    // What a transaction is told, and what it tells.
    async event(stub, name, payload) {
        stub.setEvent(name, Buffer.from(payload));
    },
    async twoEvents(stub) {
        stub.setEvent('first', Buffer.from('1'));
        stub.setEvent('second', Buffer.from('2'));
    },
    context(stub) {
        const { mspid, idBytes } = stub.getCreator();
        const identity = new shim.ClientIdentity(stub);
        const { seconds, nanos } = stub.getTxTimestamp();
        return {
            txid: stub.getTxID(),
            channel: stub.getChannelID(),
            args: stub.getArgs(),
            mspid: [mspid, identity.getMSPID()],
            certificate: text(idBytes),
            timestamp: [Number(seconds), nanos],
            date: stub.getDateTimestamp().getTime() === Number(seconds) * 1000 + Math.floor(nanos / 1e6),
            binding: stub.getBinding(),
            signature: Buffer.from(stub.getSignedProposal().signature).toString('hex'),
            transient: Object.fromEntries([...stub.getTransient()].map(([name, value]) => [name, text(value)])),
        };
    },
    environment: () => ({
        shim: require('fabric-shim/package.json').version,
        tls: process.env.CORE_PEER_TLS_ENABLED ?? null,
        pid: process.pid,
    }),
    empty: () => undefined,
    status: (stub, status, message) => ({ status: Number(status), message, payload: Buffer.from('body') }),
    error: (stub, message) => shim.error(message),
    throw: (stub, message) => {
        throw new Error(message);
    },
    nothing: () => ({ status: 0 }),
    wait: (stub, milliseconds) => new Promise(resolve => setTimeout(resolve, Number(milliseconds))),
    async escape(stub, message) {
        await stub.putState('escaped', Buffer.from('x'));
        throw Object.assign(new Error(message), { escapes: true });
    },

    /** What private data comes to in an Init: in each case an error, which is kept. */
    async privateInInit(stub, collection) {
        const said = [];
        for (const attempt of [
            () => stub.getPrivateData(collection, 'k'),
            () => stub.getPrivateDataHash(collection, 'k'),
            () => stub.putPrivateData(collection, 'k', Buffer.from('v')),
            () => stub.deletePrivateData(collection, 'k'),
            () => stub.getPrivateDataByRange(collection, 'a', 'b'),
            () => stub.getPrivateDataQueryResult(collection, '{"selector":{}}'),
            () => stub.getPrivateDataValidationParameter(collection, 'k'),
            () => stub.setPrivateDataValidationParameter(collection, 'k', Buffer.from('p')),
        ]) {
            await attempt().then(() => said.push('nothing'), ({ message }) => said.push(message.replace(stub.getTxID(), 'TX')));
        }
        await stub.putState('said in Init', Buffer.from(said.join(' ')));
    },

    /** All that the calls of the test find. */
    async seed(stub) {
        await functions.putMany(stub, 'row', 250);
        for (let index = 0; index < 6; index++) {
            const pair = [letter(index % 2), String(index)];
            await stub.putState(stub.createCompositeKey('pair', pair), Buffer.from('c'));
            const marble = { docType: 'marble', owner: index % 2 ? 'Ada' : 'Bob', size: index };
            await stub.putState(`marble${index}`, Buffer.from(JSON.stringify(marble)));
            await stub.putPrivateData('ours', `secret${index}`, Buffer.from(JSON.stringify(marble)));
            await stub.putPrivateData('ours', stub.createCompositeKey('pair', pair), Buffer.from('c'));
        }
        await stub.putPrivateData('theirs', 'secret', Buffer.from('nobody here may read it'));
        await stub.putState('old', Buffer.from('1'));
        await stub.putState('gone', Buffer.from('1'));
        await stub.putState('kept', Buffer.from('1'));
        await functions.setPolicy(stub, 'kept', 'MEMBER', 'SampleOrg');
        await stub.putState('foreign', Buffer.from('1'));
        await functions.setPolicy(stub, 'foreign', 'PEER', 'OtherOrg');
        await functions.setPrivatePolicy(stub, 'ours', 'secret0', 'SampleOrg');
    },
};

class Matrix {
    async Init(stub) {
        return this.Invoke(stub);
    }

    async Invoke(stub) {
        const { fcn, params } = stub.getFunctionAndParameters();
        if (!Object.hasOwn(functions, fcn)) return shim.error(`no such function: ${fcn}`);
        try {
            const answer = await functions[fcn](stub, ...params);
            if (typeof answer?.status === 'number' && fcn !== 'call') return answer;
            return shim.success(answer === undefined ? undefined : Buffer.from(JSON.stringify(answer)));
        } catch (error) {
            if (error.escapes) throw error;
            return shim.error(`EX: ${error.message}`);
        }
    }
}

async function serve() {
    const { CHAINCODE_SERVER_ADDRESS: address, CHAINCODE_ID: ccid, CHAINCODE_TLS: tls } = process.env;
    const [key, cert, clientCACerts] = tls ? tls.split(',').map(file => file && fs.readFileSync(file)) : [];
    const tlsProps = tls ? { key, cert, clientCACerts: clientCACerts || undefined } : undefined;
    await shim.server(new Matrix(), { ccid, address, tlsProps }).start();
    console.log(`chaincode ${ccid} listens on ${address}`);
}

if (process.env.CHAINCODE_SERVER_ADDRESS) {
    serve();
} else {
    shim.start(new Matrix());
}
