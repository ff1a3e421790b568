// Uses the types that openapi-typescript generates: registers, logs in, makes a room, posts, lists the messages.
//   node typescript-program.mjs URL
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.mjs";

type Problem = components["schemas"]["Problem"];

const url = process.argv[2];
assert(url);
const anyone = createClient<paths>({ baseUrl: url });
const account = { username: "tessa", password: "correct horse" };

function expect<T>({ data, error }: { data?: T; error?: Problem }): T {
  if (data === undefined) throw new Error(error?.detail ?? "no answer");
  return data;
}

expect(await anyone.POST("/api/v1/register", { body: account }));
const wrong = await anyone.POST("/api/v1/login", { body: { ...account, password: "wrong horse" } });
assert.equal(wrong.error?.code, "bad_credentials");
const loggedIn = expect(await anyone.POST("/api/v1/login", { body: account }));

const headers = { authorization: `Bearer ${loggedIn.access_token}` };
const tessa = createClient<paths>({ baseUrl: url, headers });
const room = expect(await tessa.POST("/api/v1/rooms", { body: { name: "Tea", visibility: "private" } }));
const params = { path: { id: room.id } };
const posted = expect(await tessa.POST("/api/v1/rooms/{id}/messages", { params, body: { body: "Hello", file_ids: [] } }));
const { items, next } = expect(await tessa.GET("/api/v1/rooms/{id}/messages", { params }));
assert.deepEqual(items.map(({ id, body }) => [id, body]), [[posted.id, "Hello"]]);
assert.equal(next, null);
console.log(`${loggedIn.user.username} posted ${items.length} message in ${room.name}`);
