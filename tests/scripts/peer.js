'use strict';

// The peer's end of a chaincode stream, on Hyperledger's own protocol definitions for Node.js and grpc-js: it shares
// neither HTTP/2, nor protobuf, nor TLS with the node. It reads one JSON document,
//   {connect | listen: address, tls?: {root, cert, key}, id, state: {key: text}, history: {key: [text]}, calls: [[arg]]},
// sends all calls at once, each on the same state, and prints {registered, results: [{type, status, message, payload,
// event, asked, writes}], errors}. What it does on the stream is what docs of Fabric 2.5 and recordings say a peer does.

const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const { peer, ledger } = require('@hyperledger/fabric-protos');

const { ChaincodeMessage } = peer;
const Type = ChaincodeMessage.Type;
const CHANNEL = 'mychannel';
const BATCH = 100;
const LIMITS = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

const order = (one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other));
const name = type => Object.keys(Type).find(key => Type[key] === type);

function message(type, txid, payload) {
    const made = new ChaincodeMessage();
    made.setType(type);
    made.setTxid(txid);
    made.setChannelId(txid ? CHANNEL : '');
    made.setPayload(payload);
    return made;
}

/** One transaction: what it may see, and what it did. */
class Transaction {
    constructor(plan) {
        this.plan = plan;
        this.asked = {};
        this.writes = {};
        this.iterators = new Map();
    }

    /** The payload of the RESPONSE to a request. */
    answer(type, payload) {
        this.asked[name(type)] = (this.asked[name(type)] ?? 0) + 1;
        switch (type) {
            case Type.GET_STATE: {
                const value = this.plan.state[peer.GetState.deserializeBinary(payload).getKey()];
                return Buffer.from(value ?? '');
            }
            case Type.PUT_STATE: {
                const put = peer.PutState.deserializeBinary(payload);
                this.writes[put.getKey()] = Buffer.from(put.getValue_asU8()).toString('latin1');
                return Buffer.alloc(0);
            }
            case Type.DEL_STATE:
                this.writes[peer.DelState.deserializeBinary(payload).getKey()] = null;
                return Buffer.alloc(0);
            case Type.GET_STATE_BY_RANGE: {
                const range = peer.GetStateByRange.deserializeBinary(payload);
                const [start, end] = [range.getStartkey() || '\x01', range.getEndkey()];
                const within = key => order(key, start) >= 0 && (end === '' || order(key, end) < 0);
                const keys = Object.keys(this.plan.state).sort(order).filter(within);
                if (range.getMetadata_asU8().length > 0) {
                    return this.page(keys, peer.QueryMetadata.deserializeBinary(range.getMetadata_asU8()));
                }
                return this.batch(this.open(keys.map(key => this.row(key))));
            }
            case Type.GET_HISTORY_FOR_KEY: {
                const key = peer.GetHistoryForKey.deserializeBinary(payload).getKey();
                const rows = (this.plan.history[key] ?? []).map((value, index) => {
                    const modification = new ledger.queryresult.KeyModification();
                    modification.setTxId(`t${index}`);
                    modification.setValue(Buffer.from(value));
                    return modification.serializeBinary();
                });
                return this.batch(this.open(rows));
            }
            case Type.QUERY_STATE_NEXT:
                return this.batch(peer.QueryStateNext.deserializeBinary(payload).getId());
            case Type.QUERY_STATE_CLOSE: {
                const id = peer.QueryStateClose.deserializeBinary(payload).getId();
                this.iterators.delete(id);
                return this.response(id, [], false);
            }
            default:
                throw new Error(`${name(type)} failed: this peer does not know it`);
        }
    }

    row(key) {
        const row = new ledger.queryresult.KV();
        row.setKey(key);
        row.setValue(Buffer.from(this.plan.state[key]));
        return row.serializeBinary();
    }

    open(rows) {
        const id = `i${this.iterators.size}`;
        this.iterators.set(id, rows);
        return id;
    }

    batch(id) {
        const rows = this.iterators.get(id);
        if (!rows) throw new Error('QUERY_STATE_NEXT failed: query iterator not found');
        const next = rows.splice(0, BATCH);
        if (rows.length === 0) this.iterators.delete(id);
        return this.response(id, next, rows.length > 0);
    }

    page(keys, wanted) {
        const from = wanted.getBookmark() === '' ? 0 : keys.findIndex(key => order(key, wanted.getBookmark()) >= 0);
        const rest = from < 0 ? [] : keys.slice(from);
        const page = rest.slice(0, wanted.getPagesize());
        const metadata = new peer.QueryResponseMetadata();
        metadata.setFetchedRecordsCount(page.length);
        metadata.setBookmark(rest[page.length] ?? '');
        return this.response('page', page.map(key => this.row(key)), false, metadata.serializeBinary());
    }

    response(id, rows, more, metadata) {
        const response = new peer.QueryResponse();
        response.setId(id);
        response.setHasMore(more);
        response.setResultsList(rows.map(bytes => {
            const result = new peer.QueryResultBytes();
            result.setResultbytes(bytes);
            return result;
        }));
        if (metadata) response.setMetadata(metadata);
        return Buffer.from(response.serializeBinary());
    }
}

/** Speaks on a stream until every call has its result. */
function converse(stream, plan) {
    return new Promise((resolve, reject) => {
        const transactions = plan.calls.map(() => new Transaction(plan));
        const results = plan.calls.map(() => undefined);
        const errors = [];
        let registered;
        const send = (type, txid, payload) => stream.write(message(type, txid, payload));
        const begin = (args, index) => {
            const input = new peer.ChaincodeInput();
            input.setArgsList(args.map(arg => Buffer.from(arg)));
            send(args.length === 0 ? Type.INIT : Type.TRANSACTION, `tx${index}`, input.serializeBinary());
        };
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('the chaincode has closed the stream')));
        stream.on('data', said => {
            const [type, txid] = [said.getType(), said.getTxid()];
            const payload = Buffer.from(said.getPayload_asU8());
            if (type === Type.REGISTER && registered === undefined) {
                registered = peer.ChaincodeID.deserializeBinary(payload).getName();
                send(Type.REGISTERED, '', '');
                send(Type.READY, '', '');
                send(Type.KEEPALIVE, '', '');
                plan.calls.forEach(begin);
                return;
            }
            if (type === Type.KEEPALIVE) {
                errors.push('keepalive');
                return;
            }
            const index = Number(txid.slice(2));
            const transaction = transactions[index];
            if (!transaction || said.getChannelId() !== CHANNEL) {
                reject(new Error(`${name(type)} for ${txid} on ${said.getChannelId()}`));
            } else if (type === Type.COMPLETED || type === Type.ERROR) {
                const response = type === Type.ERROR ? undefined : peer.Response.deserializeBinary(payload);
                const event = said.getChaincodeEvent();
                results[index] = {
                    type: name(type),
                    status: response?.getStatus() ?? 0,
                    message: response?.getMessage() ?? payload.toString(),
                    payload: Buffer.from(response?.getPayload_asU8() ?? '').toString(),
                    event: event ? event.getEventName() : null,
                    asked: transaction.asked,
                    writes: transaction.writes,
                };
                if (results.every(Boolean)) resolve({ registered, results, errors });
            } else {
                try {
                    send(Type.RESPONSE, txid, transaction.answer(type, payload));
                } catch (error) {
                    send(Type.ERROR, txid, Buffer.from(error.message));
                }
            }
        });
    });
}

function connect(plan) {
    const read = file => fs.readFileSync(file);
    const credentials = plan.tls
        ? grpc.credentials.createSsl(read(plan.tls.root), read(plan.tls.key), read(plan.tls.cert))
        : grpc.credentials.createInsecure();
    const client = new peer.ChaincodeClient(plan.connect, credentials, LIMITS);
    const stream = client.connect();
    return converse(stream, plan).finally(() => {
        stream.on('error', () => {});
        stream.cancel();
        client.close();
    });
}

function listen(plan) {
    return new Promise((resolve, reject) => {
        const server = new grpc.Server(LIMITS);
        const register = stream => {
            const done = converse(stream, plan).finally(() => {
                stream.end();
                server.forceShutdown();
            });
            done.then(resolve, reject);
        };
        server.addService(peer.ChaincodeSupportService, { register });
        const read = file => fs.readFileSync(file);
        const credentials = plan.tls
            ? grpc.ServerCredentials.createSsl(
                read(plan.tls.root),
                [{ private_key: read(plan.tls.key), cert_chain: read(plan.tls.cert) }],
                true
            )
            : grpc.ServerCredentials.createInsecure();
        server.bindAsync(plan.listen, credentials, (error, port) => {
            if (error) reject(error);
            else process.stderr.write(`listens on ${port}\n`);
        });
    });
}

const plan = JSON.parse(fs.readFileSync(0, 'utf8'));
const outcome = plan.connect ? connect(plan) : listen(plan);
outcome.then(
    result => process.stdout.write(JSON.stringify(result), () => process.exit(0)),
    error => {
        process.stderr.write(`${error.stack}\n`);
        process.exit(1);
    }
);
