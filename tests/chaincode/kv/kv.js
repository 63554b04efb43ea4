'use strict';

// Does what the chaincode of the recorded Fabric networks did, as tests/golden tells it: one function for each thing that
// a stub can do. Its answers are compared with the recorded ones byte for byte, so the order of the fields counts.

const crypto = require('crypto');
const shim = require('fabric-shim');

const json = value => Buffer.from(JSON.stringify(value));
const done = count => json({ ok: count });
const numbered = (prefix, number) => prefix + String(number).padStart(6, '0');

async function* rows(iterator) {
    for (let next = await iterator.next(); ; next = await iterator.next()) {
        if (next.value) yield next.value;
        if (next.done) return;
    }
}

/** What was found: how many, first and last key, all keys, and a hash of the values. */
async function summary(iterator) {
    const keys = [];
    const values = crypto.createHash('sha256');
    for await (const row of rows(iterator)) {
        keys.push(row.key);
        values.update(row.value);
    }
    await iterator.close();
    const sorted = keys.every((key, index) => index === 0 || keys[index - 1] < key);
    return { n: keys.length, first: keys[0], last: keys.at(-1), sorted, keys, valueHash: values.digest('hex') };
}

/** The text of a value; empty for a key that is not there. */
async function read(stub, key) {
    return (await stub.getState(key)).toString();
}

const functions = {
    init: () => undefined,

    async put(stub, key, value) {
        await stub.putState(key, Buffer.from(value));
        return done(1);
    },
    async putN(stub, prefix, count) {
        for (let number = 0; number < Number(count); number++) {
            await stub.putState(numbered(prefix, number), Buffer.from(`v${number}`));
        }
        return done(Number(count));
    },
    async putNoValue(stub, key) {
        await stub.putState(key, Buffer.alloc(0));
        return done(1);
    },
    async putDel(stub, key) {
        await stub.putState(key, Buffer.from('x'));
        await stub.deleteState(key);
        return done(1);
    },
    async ckPut(stub, type, first, second, value) {
        await stub.putState(stub.createCompositeKey(type, [first, second]), Buffer.from(value));
        return done(1);
    },
    async pvtPut(stub, collection, key) {
        await stub.putPrivateData(collection, key, stub.getTransient().get('value'));
        return done(1);
    },
    async pvtPutN(stub, collection, prefix, count) {
        for (let number = 0; number < Number(count); number++) {
            await stub.putPrivateData(collection, numbered(prefix, number), Buffer.from(`s${number}`));
        }
        return done(Number(count));
    },
    async pvtDel(stub, collection, key) {
        await stub.deletePrivateData(collection, key);
        return done(1);
    },
    async pvtGet(stub, collection, key) {
        return Buffer.from(await stub.getPrivateData(collection, key));
    },
    async pvtHash(stub, collection, key) {
        return Buffer.from(Buffer.from(await stub.getPrivateDataHash(collection, key)).toString('hex'));
    },
    async pvtRange(stub, collection, start, end) {
        return json(await summary((await stub.getPrivateDataByRange(collection, start, end)).iterator));
    },
    async pvtRangeThenPut(stub, collection, key) {
        await summary((await stub.getPrivateDataByRange(collection, '', '')).iterator);
        await stub.putState(key, Buffer.from('x'));
        return done(1);
    },
    async setMeta2(stub, key, policy, value) {
        await stub.setStateValidationParameter(key, Buffer.from(policy, 'base64'));
        await stub.putState(key, Buffer.from(value));
    },
    async get(stub, key) {
        return Buffer.from(await read(stub, key));
    },
    async rw(stub, key, value) {
        const before = await read(stub, key);
        await stub.putState(key, Buffer.from(value));
        return json({ before, after: await read(stub, key) });
    },
    async mix(stub, prefix, value) {
        const r1 = await read(stub, `${prefix}r1`);
        const r2 = await read(stub, `${prefix}r2`);
        for (const [index, name] of ['a', 'b', 'c'].entries()) {
            await stub.putState(prefix + name, Buffer.from(`${value}${index + 1}`));
        }
        await stub.deleteState(`${prefix}d`);
        return json({ r1, r2 });
    },

    async range(stub, start, end) {
        return json(await summary(await stub.getStateByRange(start, end)));
    },
    async rangeNThenPut(stub, start, end, count, key) {
        const iterator = await stub.getStateByRange(start, end);
        let taken = 0;
        for await (const row of rows(iterator)) {
            taken += row.key ? 1 : 0;
            if (taken === Number(count)) break;
        }
        await iterator.close();
        await stub.putState(key, Buffer.from(`n${taken}`));
        return Buffer.from(String(taken));
    },
    async rangePage(stub, start, end, size, bookmark) {
        const page = await stub.getStateByRangeWithPagination(start, end, Number(size), bookmark);
        const found = await summary(page.iterator);
        return json({ ...found, meta: { count: page.metadata.fetchedRecordsCount, bookmark: page.metadata.bookmark } });
    },
    async rangePageThenPut(stub, start, end, size, key) {
        await summary((await stub.getStateByRangeWithPagination(start, end, Number(size), '')).iterator);
        await stub.putState(key, Buffer.from('x'));
        return done(1);
    },
    async rich(stub, query) {
        const found = [];
        for await (const row of rows(await stub.getQueryResult(query))) {
            found.push([row.key, row.value.toString()]);
        }
        return json(found);
    },
    async richPage(stub, query, size, bookmark) {
        const page = await stub.getQueryResultWithPagination(query, Number(size), bookmark);
        const { keys } = await summary(page.iterator);
        return json({ keys, count: page.metadata.fetchedRecordsCount, bookmark: page.metadata.bookmark });
    },
    async history(stub, key) {
        const changes = [];
        for await (const change of rows(await stub.getHistoryForKey(key))) {
            const seconds = Number(change.timestamp.seconds);
            changes.push({ tx: change.txId, del: change.isDelete, v: change.value.toString(), s: seconds });
        }
        return json(changes);
    },

    async cc(stub, name, channel, ...args) {
        const { status, message, payload } = await stub.invokeChaincode(name, args, channel);
        return json({ status, message: message || '', payload: payload.toString() });
    },
    async ccThenPut(stub, name, key, value) {
        await stub.invokeChaincode(name, ['put', key, value], '');
        await stub.putState(`${key}-outer`, Buffer.from(value));
        return done(1);
    },

    async event(stub, name, payload) {
        stub.setEvent(name, Buffer.from(payload));
        await stub.putState(`ev-${name}`, Buffer.from(payload));
        return done(1);
    },
    empty: () => undefined,
    status: (stub, status, message) => ({ status: Number(status), message, payload: Buffer.from('body') }),
    error: (stub, message) => shim.error(message),

    ctx(stub) {
        const creator = stub.getCreator();
        const identity = new shim.ClientIdentity(stub);
        const { seconds, nanos } = stub.getTxTimestamp();
        const transient = [...stub.getTransient()].sort().map(([name, value]) => [name, value.toString('hex')]);
        return json({
            tx: stub.getTxID(),
            channel: stub.getChannelID(),
            mspid: creator.mspid,
            idSha: crypto.createHash('sha256').update(creator.idBytes).digest('hex'),
            seconds: Number(seconds),
            nanos,
            sig: Buffer.from(stub.getSignedProposal().signature).toString('hex'),
            binding: stub.getBinding(),
            transient: Object.fromEntries(transient),
            cid: { id: identity.getID(), msp: identity.getMSPID(), attr: identity.getAttributeValue('attr') },
            msp: process.env.CORE_PEER_LOCALMSPID || null,
        });
    },
    version: () => json({ shim: require('fabric-shim/package.json').version, node: process.version, pid: process.pid }),
};

class Kv {
    async Init(stub) {
        return this.Invoke(stub);
    }

    async Invoke(stub) {
        const { fcn, params } = stub.getFunctionAndParameters();
        if (!Object.hasOwn(functions, fcn)) {
            return shim.error(`no such function: ${fcn}`);
        }
        try {
            const answer = await functions[fcn](stub, ...params);
            return answer && answer.status ? answer : shim.success(answer);
        } catch (error) {
            return shim.error(`EX:${error.message}`);
        }
    }
}

// example02 of Fabric, as far as it was asked.
class Example02 {
    async Init(stub) {
        const [, a, ofA, b, ofB] = stub.getStringArgs();
        await stub.putState(a, Buffer.from(ofA));
        await stub.putState(b, Buffer.from(ofB));
        return shim.success();
    }

    async Invoke(stub) {
        return shim.success(await stub.getState(stub.getArgs()[1]));
    }
}

shim.start(process.env.CORE_CHAINCODE_ID_NAME.startsWith('ex02') ? new Example02() : new Kv());
