"""The steps on a thread in Redis that have to be one, as Lua: https://redis.io/docs/latest/develop/programmability/eval-intro/

All keys of a thread bear its id as hash tag, so that they lie on one node of a cluster. A turn is JSON that nobody here looks into,
under a letter for its state (d: done, i: interrupted); its number is its place in the list, so that numbers have no gaps and no two
turns have the same. What is known of an exchange is a line of words: `p <owner> <begun>` while it is pending, then `d` or `i` with
`<first turn> <how many>`. Every step may be repeated and then does nothing. What a thread holds is shown as its fields, its landed
turns as lines of some texts, and of each exchange under way what is known of it and what was asked; then how many turns before those
were left out, and the numbers of turns that are there in spite of that.
"""

from __future__ import annotations

from collections.abc import Sequence

from conversation.threads import LEAST_RECENT

PREFIX = "parley"
_NAMES = ("thread", "turns", "exchanges", "asked", "pending", "files", "gone")

_HEAD = """
local thread, turns, exchanges, asked, pending, files, gone = unpack(KEYS)
local function words(text)
  local found = {}
  for word in string.gmatch(text, '%S+') do found[#found + 1] = word end
  return found
end
local function missing()
  return {'gone', redis.call('GET', gone) or ''}
end
local function kept(ttl)
  for _, key in ipairs(KEYS) do
    if key ~= gone and tonumber(ttl) > 0 then redis.call('PEXPIRE', key, ttl) end
    if key ~= gone and tonumber(ttl) == 0 then redis.call('PERSIST', key) end
  end
end
-- Of the turns up to `last`, the newest of which those of whole exchanges say so many bytes together, and those before them that belong
-- to no exchange. What is kept of a turn beside its words takes some 300 bytes.
local function recent(last, size)
  local first, parts, least = last, {}, LEAST_RECENT
  while first > 0 and (size > 0 or least > 0) do
    local from = math.max(first - 63, 1)
    local part = redis.call('LRANGE', turns, from - 1, first - 1)
    for _, row in ipairs(part) do
      if string.sub(row, 1, 1) == 'd' then
        size = size - math.max(#row - 300, 1)
        least = least - 1
      end
    end
    table.insert(parts, 1, table.concat(part, '\\n'))
    first = from - 1
  end
  local found, numbers = {}, {}
  for _, number in ipairs(words(redis.call('HGET', exchanges, ' alone') or '')) do
    if tonumber(number) <= first then
      numbers[#numbers + 1] = number
      found[#found + 1] = redis.call('LINDEX', turns, number - 1)
    end
  end
  for _, part in ipairs(parts) do found[#found + 1] = part end
  return found, first, numbers
end
local function shown(last, without, size)
  local waiting = {}
  for _, id in ipairs(redis.call('LRANGE', pending, 0, -1)) do
    if id ~= without then
      waiting[#waiting + 1] = {redis.call('HGET', exchanges, id), redis.call('HGET', asked, id)}
    end
  end
  local rows, first, numbers = recent(last, size == '' and math.huge or tonumber(size))
  return {'ok', redis.call('HGETALL', thread), rows, waiting, first, numbers}
end
local function alone(numbers)
  if numbers ~= '' then redis.call('HSET', exchanges, ' alone', numbers) end
end
local function land(id, state, answers)
  local first = redis.call('RPUSH', turns, state .. redis.call('HGET', asked, id))
  for _, answer in ipairs(answers) do redis.call('RPUSH', turns, state .. answer) end
  redis.call('HDEL', asked, id)
  redis.call('LREM', pending, 1, id)
  redis.call('HSET', exchanges, id, state .. ' ' .. first .. ' ' .. (1 + #answers))
  return first
end
""".replace("LEAST_RECENT", str(LEAST_RECENT))

PUT = """
-- ARGV: number of files, then each its name and content. Files are there before the turns that name them; where there is no thread to
-- come, they do not stay.
for number = 1, tonumber(ARGV[1]) do redis.call('HSETNX', files, ARGV[2 * number], ARGV[1 + 2 * number]) end
if redis.call('EXISTS', thread) == 0 then redis.call('PEXPIRE', files, 3600000) end
return {'ok'}
"""

MAKE = """
-- ARGV: ttl, the numbers of the turns that belong to no exchange, number of fields, fields and values of the thread, then its turns.
if redis.call('EXISTS', thread) == 0 then
  local fields = tonumber(ARGV[3])
  for number = 4, 2 + 2 * fields, 2 do redis.call('HSET', thread, ARGV[number], ARGV[number + 1]) end
  for number = 4 + 2 * fields, #ARGV do redis.call('RPUSH', turns, ARGV[number]) end
  alone(ARGV[2])
  redis.call('SET', gone, 'expired')
  kept(ARGV[1])
end
return {'ok'}
"""

BEGIN = """
-- ARGV: ttl, now, cutoff, exchange, owner, begun, the caller's turn, the last turn there should be or '', how many bytes of turns to show
-- or ''.
local id, updated = ARGV[4], redis.call('HGET', thread, 'updated')
if not updated then return missing() end
local known = redis.call('HGET', exchanges, id)
if not known then
  if updated < ARGV[3] then return {'gone', 'expired'} end
  local last = redis.call('LLEN', turns)
  if ARGV[8] ~= '' and tonumber(ARGV[8]) ~= last then return {'conflict', last} end
  if ARGV[8] ~= '' and redis.call('LLEN', pending) > 0 then return {'waiting', last} end
  redis.call('HSET', exchanges, id, 'p ' .. ARGV[5] .. ' ' .. ARGV[6])
  redis.call('HSET', asked, id, ARGV[7])
  redis.call('RPUSH', pending, id)
  redis.call('HSET', exchanges, id .. ' then', last)
  redis.call('HSET', thread, 'updated', ARGV[2])
  kept(ARGV[1])
end
return shown(tonumber(redis.call('HGET', exchanges, id .. ' then') or redis.call('LLEN', turns)), id, ARGV[9])
"""

COMPLETE = """
-- ARGV: ttl, now, exchange, then the answers.
local known = redis.call('HGET', exchanges, ARGV[3])
if not known and redis.call('EXISTS', thread) == 1 then return {'unknown'} end
if not known then return missing() end
local state = string.sub(known, 1, 1)
if state == 'i' then return {'interrupted'} end
if state == 'p' then
  local answers = {}
  for number = 4, #ARGV do answers[#answers + 1] = ARGV[number] end
  land(ARGV[3], 'd', answers)
  redis.call('HSET', thread, 'updated', ARGV[2])
  kept(ARGV[1])
end
local found = words(redis.call('HGET', exchanges, ARGV[3]))
return {'ok', found[2], redis.call('LRANGE', turns, found[2] - 1, found[2] + found[3] - 2), redis.call('HGET', thread, 'workspace')}
"""

INTERRUPT = """
-- ARGV: exchange.
local known = redis.call('HGET', exchanges, ARGV[1])
if known and string.sub(known, 1, 1) == 'p' then land(ARGV[1], 'i', {}) end
return {'ok'}
"""

APPEND = """
-- ARGV: ttl, cutoff, the turn's own id, the turn.
local updated = redis.call('HGET', thread, 'updated')
if not updated then return missing() end
if updated < ARGV[2] then return {'gone', 'expired'} end
local known = redis.call('HGET', exchanges, ARGV[3])
if not known then
  local first = redis.call('RPUSH', turns, 'd' .. ARGV[4])
  known = 'd ' .. first .. ' 1'
  redis.call('HSET', exchanges, ARGV[3], known)
  alone((redis.call('HGET', exchanges, ' alone') or '') .. ' ' .. first)
  kept(ARGV[1])
end
local found = words(known)
return {'ok', found[2], redis.call('LRANGE', turns, found[2] - 1, found[2] - 1)}
"""

LAND = """
-- ARGV: ttl, exchange, when it was completed, number of fields, fields and values of the thread, the caller's turn, then the answers.
-- What was said while Redis was away: the thread is made if it was never here, and stays gone if it was deleted since.
local id, fields = ARGV[2], tonumber(ARGV[4])
if redis.call('EXISTS', thread) == 0 then
  if redis.call('EXISTS', gone) == 1 then return missing() end
  for number = 5, 3 + 2 * fields, 2 do redis.call('HSET', thread, ARGV[number], ARGV[number + 1]) end
  redis.call('SET', gone, 'expired')
end
local known = redis.call('HGET', exchanges, id)
if not known or string.sub(known, 1, 1) ~= 'd' then
  -- One that was taken for dead meanwhile keeps its interrupted turn as well, since turns are only added.
  redis.call('HSET', asked, id, ARGV[5 + 2 * fields])
  local answers = {}
  for number = 6 + 2 * fields, #ARGV do answers[#answers + 1] = ARGV[number] end
  land(id, 'd', answers)
  if redis.call('HGET', thread, 'updated') < ARGV[3] then redis.call('HSET', thread, 'updated', ARGV[3]) end
  kept(ARGV[1])
end
return {'ok', redis.call('HGET', thread, 'workspace')}
"""

LOAD = """
-- ARGV: cutoff, how many bytes of turns to show or ''.
local updated = redis.call('HGET', thread, 'updated')
if not updated then return missing() end
if updated < ARGV[1] then return {'gone', 'expired'} end
return shown(redis.call('LLEN', turns), '', ARGV[2])
"""

DELETE = """
-- ARGV: none.
if redis.call('EXISTS', thread) == 0 then return missing() end
redis.call('DEL', thread, turns, exchanges, asked, pending, files)
redis.call('SET', gone, 'deleted')
return {'ok'}
"""


UNKNOWN = ("gone", "")
"""What is answered for a thread that never was."""


def whole(body: str) -> str:
    """Return a script with what all of them share."""
    return _HEAD + body


def keys_of(thread_id: str) -> Sequence[str]:
    """Return the keys of a thread, in the order the scripts take them."""
    return [f"{PREFIX}:{{{thread_id}}}:{name}" for name in _NAMES]
