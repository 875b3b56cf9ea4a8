-- Dissectors for what stock Wireshark does not know of an LTE sidelink (PC5):
--   prose.pc5s    PC5 signalling, TS 24.334 12.5.1 and the pc5lab `identity` profile
--   prose.slpdcp  PDCP PDUs of sidelink radio bearers, TS 36.323 6.2.10
--   prose.pc5d    PC5_DISCOVERY messages, TS 24.334 11.2.5
-- They take over where a frame of link type 252 (exported PDU) names them. I_MESSAGEs and IP packets inside go to
-- the built-in mikey and ip dissectors. SPDX-License-Identifier: BSD-3-Clause

local pc5s = Proto("prose.pc5s", "ProSe PC5 signalling")
local slpdcp = Proto("prose.slpdcp", "PDCP of a sidelink radio bearer")
local pc5d = Proto("prose.pc5d", "PC5_DISCOVERY")

local mikey = Dissector.get("mikey")
local ip = Dissector.get("ip")

-- PC5 signalling ----------------------------------------------------------------------------------------------------

-- Made from the table of messages by lab_scripts.doc_makers.wireshark_tables: do not edit
local MESSAGES = {
  [1] = "Direct Connection Request",
  [2] = "Direct Connection Accept",
  [3] = "Direct Connection Reject",
  [4] = "Keepalive",
  [5] = "Keepalive Ack",
  [6] = "Release",
  [7] = "Release Accept",
  [12] = "Direct Security Mode Command",
  [13] = "Direct Security Mode Complete",
  [14] = "Direct Security Mode Reject",
  [15] = "Rekeying Request",
  [16] = "Rekeying Response",
  [17] = "Rekeying Trigger",
  [240] = "Relay frame",
  [241] = "Relayed PDCP PDU",
}
local CONFIRM = { type = 4, iei = 0x44, name = "Confirm (Keepalive with key confirmation)" }
local USER, TARGET = "user_info", "target_user_info"
local IN_SUMMARY = { "cause", "reason", "counter" }
-- What the numbers of a field are called
local WORDS = {
  ["user_info.type"] = { [1] = "upper layer" },
  ["kdf"] = { [0] = "fc33303", [1] = "fc33536" },
  ["purpose"] = { [0] = "one-to-one", [1] = "group", [2] = "asks for a group's key" },
  ["mutual"] = { [0] = "not wanted", [1] = "wanted", [2] = "required" },
  ["group.mode"] = { [0] = "group identity", [1] = "per member" },
  ["ip_address_config"] = { [1] = "DHCPv4 server", [2] = "IPv6 router", [3] = "DHCPv4 server and IPv6 router", [4] = "not supported" },
  ["cause"] = { [1] = "not allowed", [2] = "authentication failure", [3] = "layer-2 id conflict", [4] = "lack of resources", [5] = "IP version mismatch", [6] = "other", [7] = "algorithms mismatch", [8] = "KD-sess ID conflict", [9] = "unspecified", [128] = "time or key period", [129] = "mutual authentication policy", [130] = "version of the profile" },
  ["reason"] = { [1] = "no longer needed", [2] = "no longer allowed", [3] = "no longer available" },
}
-- Filter after `prose.pc5s.` -> field
local f = {
  ["user_info.type"] = ProtoField.uint8("prose.pc5s.user_info.type", "User Info type", base.DEC, WORDS["user_info.type"]),
  ["user_info"] = ProtoField.string("prose.pc5s.user_info", "User Info"),
  ["link_local"] = ProtoField.ipv6("prose.pc5s.link_local", "Link-local IPv6 address"),
  ["value"] = ProtoField.bytes("prose.pc5s.value", "Value"),
  ["target_user_info"] = ProtoField.string("prose.pc5s.target_user_info", "Target User Info"),
  ["link_l2_id"] = ProtoField.uint24("prose.pc5s.link_l2_id", "Link L2 ID", base.HEX),
  ["kdf"] = ProtoField.uint8("prose.pc5s.kdf", "Key derivation", base.DEC, WORDS["kdf"], 0xF0),
  ["profile"] = ProtoField.uint8("prose.pc5s.profile", "Profile version", base.DEC, nil, 0x0F),
  ["purpose"] = ProtoField.uint8("prose.pc5s.purpose", "Purpose", base.DEC, WORDS["purpose"], 0x0C),
  ["mutual"] = ProtoField.uint8("prose.pc5s.mutual", "Mutual authentication", base.DEC, WORDS["mutual"], 0x03),
  ["request_hash"] = ProtoField.bytes("prose.pc5s.request_hash", "Request hash"),
  ["key_confirmation"] = ProtoField.bytes("prose.pc5s.key_confirmation", "Key confirmation"),
  ["key_proof"] = ProtoField.bytes("prose.pc5s.key_proof", "Key proof"),
  ["group.l2_id"] = ProtoField.uint24("prose.pc5s.group.l2_id", "Group L2 ID", base.HEX),
  ["group.pgk_id"] = ProtoField.uint8("prose.pc5s.group.pgk_id", "PGK ID", base.HEX),
  ["group.epoch"] = ProtoField.uint32("prose.pc5s.group.epoch", "Epoch", base.DEC),
  ["group.expiry"] = ProtoField.uint32("prose.pc5s.group.expiry", "Expiry (NTP s)", base.DEC),
  ["group.eea"] = ProtoField.uint8("prose.pc5s.group.eea", "EEA", base.DEC),
  ["group.mode"] = ProtoField.uint8("prose.pc5s.group.mode", "Mode", base.DEC, WORDS["group.mode"]),
  ["group.tag"] = ProtoField.bytes("prose.pc5s.group.tag", "Tag"),
  ["group.identity"] = ProtoField.string("prose.pc5s.group.identity", "Group identity"),
  ["nonce_2"] = ProtoField.bytes("prose.pc5s.nonce_2", "Nonce_2"),
  ["eea"] = ProtoField.uint8("prose.pc5s.eea", "Chosen EEA", base.DEC, nil, 0x70),
  ["eia"] = ProtoField.uint8("prose.pc5s.eia", "Chosen EIA", base.DEC, nil, 0x07),
  ["kd_sess_id.lsb"] = ProtoField.uint8("prose.pc5s.kd_sess_id.lsb", "KD-sess ID LSB", base.HEX),
  ["group.members_out"] = ProtoField.bytes("prose.pc5s.group.members_out", "Entries"),
  ["ip_address_config"] = ProtoField.uint8("prose.pc5s.ip_address_config", "IP address config", base.DEC, WORDS["ip_address_config"]),
  ["max_inactivity_period"] = ProtoField.uint32("prose.pc5s.max_inactivity_period", "Maximum inactivity period (s)", base.DEC),
  ["nonce_1"] = ProtoField.bytes("prose.pc5s.nonce_1", "Nonce_1"),
  ["capabilities.eea"] = ProtoField.uint8("prose.pc5s.capabilities.eea", "Offered EEA0..7 (from bit 8)", base.HEX),
  ["capabilities.eia"] = ProtoField.uint8("prose.pc5s.capabilities.eia", "Offered EIA0..7 (from bit 8)", base.HEX),
  ["kd_sess_id.msb"] = ProtoField.uint8("prose.pc5s.kd_sess_id.msb", "KD-sess ID MSB", base.HEX),
  ["cause"] = ProtoField.uint8("prose.pc5s.cause", "Cause", base.DEC, WORDS["cause"]),
  ["counter"] = ProtoField.uint32("prose.pc5s.counter", "Keepalive counter", base.DEC),
  ["reason"] = ProtoField.uint8("prose.pc5s.reason", "Release reason", base.DEC, WORDS["reason"]),
  ["relay.hop_limit"] = ProtoField.uint8("prose.pc5s.relay.hop_limit", "Hop limit", base.DEC),
  ["relay.path_id"] = ProtoField.uint32("prose.pc5s.relay.path_id", "Path ID", base.HEX),
  ["relay.origin"] = ProtoField.uint24("prose.pc5s.relay.origin", "Origin L2 ID", base.HEX),
  ["relay.destination"] = ProtoField.uint24("prose.pc5s.relay.destination", "Destination L2 ID", base.HEX),
  ["relay.lcid"] = ProtoField.uint8("prose.pc5s.relay.lcid", "LCID", base.DEC),
  ["pdu"] = ProtoField.bytes("prose.pc5s.pdu", "PDCP PDU"),
}
-- A part is a filter, its first octet, its octets (nil: all that is left), and how to read it.
-- An element has a title, parts, and either a number of octets or a length of so many octets.
-- Message type -> the elements without identifier that it begins with
local HEADINGS = {
  [1] = {
    { title = "User Info", length_octets = 1, parts = { { "user_info.type", 0, 1, "number" }, { "user_info", 1, nil, "text" } } },
    { title = "IP address config", octets = 1, parts = { { "ip_address_config", 0, 1, "number" } } },
    { title = "Maximum inactivity period (s)", octets = 4, parts = { { "max_inactivity_period", 0, 4, "number" } } },
    { title = "Nonce_1", octets = 16, parts = { { "nonce_1", 0, 16 } } },
    { title = "UE security capabilities", octets = 2, parts = { { "capabilities.eea", 0, 1 }, { "capabilities.eia", 1, 1 } } },
    { title = "KD-sess ID MSB", octets = 1, parts = { { "kd_sess_id.msb", 0, 1, "number" } } },
  },
  [2] = {
    { title = "IP address config", octets = 1, parts = { { "ip_address_config", 0, 1, "number" } } },
  },
  [3] = {
    { title = "Cause", octets = 1, parts = { { "cause", 0, 1, "number" } } },
  },
  [4] = {
    { title = "Keepalive counter", octets = 4, parts = { { "counter", 0, 4, "number" } } },
  },
  [5] = {
    { title = "Keepalive counter", octets = 4, parts = { { "counter", 0, 4, "number" } } },
  },
  [6] = {
    { title = "Release reason", octets = 1, parts = { { "reason", 0, 1, "number" } } },
  },
  [7] = {},
  [12] = {
    { title = "UE security capabilities", octets = 2, parts = { { "capabilities.eea", 0, 1 }, { "capabilities.eia", 1, 1 } } },
    { title = "Nonce_2", octets = 16, parts = { { "nonce_2", 0, 16 } } },
    { title = "Chosen algorithms", octets = 1, parts = { { "eea", 0, 1 }, { "eia", 0, 1 } } },
    { title = "KD-sess ID LSB", octets = 1, parts = { { "kd_sess_id.lsb", 0, 1, "number" } } },
  },
  [13] = {},
  [14] = {
    { title = "Cause", octets = 1, parts = { { "cause", 0, 1, "number" } } },
  },
  [15] = {
    { title = "UE security capabilities", octets = 2, parts = { { "capabilities.eea", 0, 1 }, { "capabilities.eia", 1, 1 } } },
    { title = "Nonce_1", octets = 16, parts = { { "nonce_1", 0, 16 } } },
    { title = "KD-sess ID MSB", octets = 1, parts = { { "kd_sess_id.msb", 0, 1, "number" } } },
  },
  [16] = {},
  [17] = {},
  [240] = {
    { title = "Hop limit", octets = 1, parts = { { "relay.hop_limit", 0, 1, "number" } } },
    { title = "Path ID", octets = 4, parts = { { "relay.path_id", 0, 4, "number" } } },
    { title = "Origin L2 ID", octets = 3, parts = { { "relay.origin", 0, 3, "number" } } },
    { title = "Destination L2 ID", octets = 3, parts = { { "relay.destination", 0, 3, "number" } } },
    { title = "PC5-S message", length_octets = 2, parts = { { "pdu", 0, nil, "pc5s" } } },
  },
  [241] = {
    { title = "Hop limit", octets = 1, parts = { { "relay.hop_limit", 0, 1, "number" } } },
    { title = "Path ID", octets = 4, parts = { { "relay.path_id", 0, 4, "number" } } },
    { title = "Origin L2 ID", octets = 3, parts = { { "relay.origin", 0, 3, "number" } } },
    { title = "Destination L2 ID", octets = 3, parts = { { "relay.destination", 0, 3, "number" } } },
    { title = "LCID", octets = 1, parts = { { "relay.lcid", 0, 1, "number" } } },
    { title = "PDCP PDU", length_octets = 2, parts = { { "pdu", 0, nil } } },
  },
}
-- IEI -> element
local IES = {
  [0x01] = { title = "User Info", length_octets = 1, parts = { { "user_info.type", 0, 1, "number" }, { "user_info", 1, nil, "text" } } },
  [0x03] = { title = "Link-local IPv6 address", octets = 16, parts = { { "link_local", 0, 16 } } },
  [0x07] = { title = "Maximum inactivity period", octets = 4, parts = { { "value", 0, nil } } },
  [0x08] = { title = "PRUK ID", octets = 8, parts = { { "value", 0, nil } } },
  [0x09] = { title = "AUTS", octets = 14, parts = { { "value", 0, nil } } },
  [0x0a] = { title = "RAND", octets = 16, parts = { { "value", 0, nil } } },
  [0x0f] = { title = "LSB of KD ID", octets = 2, parts = { { "value", 0, nil } } },
  [0x10] = { title = "MSB of KD ID", octets = 2, parts = { { "value", 0, nil } } },
  [0x11] = { title = "KD ID", octets = 4, parts = { { "value", 0, nil } } },
  [0x12] = { title = "KD freshness", octets = 16, parts = { { "value", 0, nil } } },
  [0x15] = { title = "Re-auth flag", octets = 1, parts = { { "value", 0, nil } } },
  [0x16] = { title = "Signature", octets = 129, parts = { { "value", 0, nil } } },
  [0x17] = { title = "Encrypted payload", length_octets = 2, parts = { { "value", 0, nil } } },
  [0x18] = { title = "GPI", length_octets = 1, parts = { { "value", 0, nil } } },
  [0x19] = { title = "Relay service code", octets = 3, parts = { { "value", 0, nil } } },
  [0x40] = { title = "Target User Info", length_octets = 1, parts = { { "user_info.type", 0, 1, "number" }, { "target_user_info", 1, nil, "text" } } },
  [0x41] = { title = "Link L2 ID", length_octets = 1, parts = { { "link_l2_id", 0, 3, "number" } } },
  [0x42] = { title = "Profile and flags", length_octets = 1, parts = { { "kdf", 0, 1 }, { "profile", 0, 1 }, { "purpose", 1, 1 }, { "mutual", 1, 1 } } },
  [0x43] = { title = "Request hash", length_octets = 1, parts = { { "request_hash", 0, nil } } },
  [0x44] = { title = "Key confirmation", length_octets = 1, parts = { { "key_confirmation", 0, nil } } },
  [0x45] = { title = "Key proof", length_octets = 1, parts = { { "key_proof", 0, nil } } },
  [0x46] = { title = "Group info", length_octets = 1, parts = { { "group.l2_id", 0, 3, "number" }, { "group.pgk_id", 3, 1, "number" }, { "group.epoch", 4, 4, "number" }, { "group.expiry", 8, 4, "number" }, { "group.eea", 12, 1, "number" }, { "group.mode", 13, 1, "number" }, { "group.tag", 16, 8 }, { "group.identity", 24, nil, "text" } } },
  [0x47] = { title = "Nonce_2", length_octets = 1, parts = { { "nonce_2", 0, 16 } } },
  [0x48] = { title = "Chosen algorithms", length_octets = 1, parts = { { "eea", 0, 1 }, { "eia", 0, 1 } } },
  [0x49] = { title = "KD-sess ID LSB", length_octets = 1, parts = { { "kd_sess_id.lsb", 0, 1, "number" } } },
  [0x78] = { title = "I_MESSAGE", length_octets = 2, parts = { { "i_message", 0, nil, "i_message" } } },
  [0x79] = { title = "Group members out", length_octets = 2, parts = { { "group.members_out", 0, nil } } },
}
-- End of what is made from the table of messages

local header = {
  type = ProtoField.uint8("prose.pc5s.type", "Message type", base.DEC, MESSAGES),
  seq = ProtoField.uint16("prose.pc5s.seq", "Sequence number"),
  iei = ProtoField.uint8("prose.pc5s.iei", "IEI", base.HEX),
  length = ProtoField.uint16("prose.pc5s.length", "Length"),
}
for _, field in pairs(header) do table.insert(pc5s.fields, field) end
for _, field in pairs(f) do table.insert(pc5s.fields, field) end
local cut_short = ProtoExpert.new("prose.pc5s.cut_short", "Message is cut short", expert.group.MALFORMED,
                                  expert.severity.ERROR)
pc5s.experts = { cut_short }

-- Reads fields one after the other; stops the dissection where the octets end.
local function cursor_of(tvb, tree, start)
  local cursor = { at = start }
  function cursor.take(length)
    if cursor.at + length > tvb:len() then
      tree:add_proto_expert_info(cut_short)
      error({ cut_short = true })
    end
    local range = tvb(cursor.at, length)
    cursor.at = cursor.at + length
    return range
  end
  function cursor.left() return tvb:len() - cursor.at end
  return cursor
end

-- Puts a part of a value into the tree, and what the summary needs of it into `seen`.
local function dissect_part(part, value, pinfo, tree, seen)
  local filter, at, octets, reading = part[1], part[2], part[3], part[4]
  local left = value:len() - at
  if left < (octets or 0) then
    tree:add_proto_expert_info(cut_short)
    return
  end
  if left == 0 then return end
  local range = octets and value(at, octets) or value(at)
  if reading == "i_message" then
    tree:append_text(string.format(" (%d octets)", left))
    seen.i_message = left
    mikey:call(range:tvb(), pinfo, tree)
  elseif reading == "pc5s" then
    pc5s.dissector(range:tvb(), pinfo, tree)
  else
    tree:add(f[filter], range)
    if reading == "number" then seen[filter] = range:uint() end
    if reading == "text" then
      seen[filter] = range:string()
      if seen.ie then tree:append_text(": " .. seen[filter]) end
    end
  end
end

local function dissect_parts(parts, value, pinfo, tree, seen)
  for _, part in ipairs(parts) do dissect_part(part, value, pinfo, tree, seen) end
end

-- Takes length and value of an element; returns both, the length only where it has octets of its own.
local function take_element(cursor, element)
  local length_octets = element.length_octets and cursor.take(element.length_octets)
  local length = length_octets and length_octets:uint() or element.octets
  return length_octets, length > 0 and cursor.take(length) or nil
end

local UNKNOWN_PARTS = { { "value", 0 } }

local function dissect_ie(cursor, tvb, pinfo, tree, seen)
  local start = cursor.at
  local iei = cursor.take(1)
  local element = IES[iei:uint()]
    or { title = string.format("Unknown IE 0x%02x", iei:uint()), length_octets = 1, parts = UNKNOWN_PARTS }
  local length_octets, value = take_element(cursor, element)
  local branch = tree:add(pc5s, tvb(start, cursor.at - start), element.title)
  branch:add(header.iei, iei)
  if length_octets then branch:add(header.length, length_octets) end
  if iei:uint() == CONFIRM.iei and seen.kind == CONFIRM.type then seen.name = CONFIRM.name end
  seen.ie = true
  if value then dissect_parts(element.parts, value, pinfo, branch, seen) end
end

local function dissect_message(tvb, pinfo, tree, seen)
  local cursor = cursor_of(tvb, tree, 0)
  local kind = cursor.take(1)
  tree:add(header.type, kind)
  seen.kind = kind:uint()
  seen.name = MESSAGES[seen.kind] or string.format("PC5-S message type %d", seen.kind)
  tree:append_text(", " .. seen.name)
  tree:add(header.seq, cursor.take(2))
  for _, element in ipairs(HEADINGS[seen.kind] or {}) do
    local length_octets, value = take_element(cursor, element)
    if length_octets then tree:add(header.length, length_octets) end
    if value then dissect_parts(element.parts, value, pinfo, tree, seen) end
  end
  while cursor.left() > 0 do dissect_ie(cursor, tvb, pinfo, tree, seen) end
end

local function in_words(seen)
  local text = seen.name or "PC5-S message, cut short"
  if seen[USER] then text = text .. " " .. seen[USER] end
  if seen[TARGET] then text = text .. " > " .. seen[TARGET] end
  for _, filter in ipairs(IN_SUMMARY) do
    local number, words = seen[filter], WORDS[filter]
    if number and (words or number ~= 0) then
      text = text .. string.format(", %s %s", filter, words and words[number] or number)
    end
  end
  if seen.i_message then text = text .. string.format(", I_MESSAGE %d octets", seen.i_message) end
  return text
end

function pc5s.dissector(tvb, pinfo, root)
  local seen = {}
  local ok, problem = pcall(dissect_message, tvb, pinfo, root:add(pc5s, tvb()), seen)
  if not ok and not (type(problem) == "table" and problem.cut_short) then error(problem) end
  pinfo.cols.protocol = "PC5-S"
  pinfo.cols.info = in_words(seen)
  return tvb:len()
end

-- PDCP of sidelink radio bearers -------------------------------------------------------------------------------------

local SDU_TYPES = { [0] = "IP", [1] = "ARP", [2] = "PC5-S", [3] = "Non-IP" }
local p = {
  sdu_type = ProtoField.uint8("prose.slpdcp.sdu_type", "SDU type", base.DEC, SDU_TYPES, 0xE0),
  pgk_index = ProtoField.uint8("prose.slpdcp.pgk_index", "PGK index", base.DEC, nil, 0x1F),
  kd_sess_id = ProtoField.uint16("prose.slpdcp.kd_sess_id", "KD-sess ID", base.HEX),
  ptk_id = ProtoField.uint16("prose.slpdcp.ptk_id", "PTK identity", base.HEX),
  sn = ProtoField.uint16("prose.slpdcp.sn", "PDCP SN"),
  data = ProtoField.bytes("prose.slpdcp.data", "Data"),
  mac_i = ProtoField.uint32("prose.slpdcp.mac_i", "MAC-I", base.HEX),
}
for _, field in pairs(p) do table.insert(slpdcp.fields, field) end

local function dissect_sdu(kind, sdu, pinfo, tree, root)
  if kind == 0 then
    ip:call(sdu:tvb(), pinfo, root)
  elseif kind == 2 then
    pc5s.dissector(sdu:tvb(), pinfo, root)
  else
    tree:add(p.data, sdu)
  end
end

function slpdcp.dissector(tvb, pinfo, root)
  local HEADER, MAC_I = 5, 4
  if tvb:len() < HEADER then return 0 end
  local tree = root:add(slpdcp, tvb())
  local first, id = tvb(0, 1):uint(), tvb(1, 2):uint()
  local kind, to_group = bit.rshift(first, 5), bit.band(first, 0x1F) ~= 0
  local kind_name = SDU_TYPES[kind] or "reserved SDU type"
  pinfo.cols.protocol = "SL-PDCP"
  tree:add(p.sdu_type, tvb(0, 1))
  tree:add(p.pgk_index, tvb(0, 1))
  tree:add(to_group and p.ptk_id or p.kd_sess_id, tvb(1, 2))
  tree:add(p.sn, tvb(3, 2))
  pinfo.cols.info = string.format("%s, %s %04x, SN %d, %d octets", kind_name, to_group and "PTK" or "KD-sess ID", id,
                                  tvb(3, 2):uint(), tvb:len())
  local left = tvb:len() - HEADER
  if to_group or id ~= 0 then
    local mac_i = (not to_group and left >= MAC_I) and MAC_I or 0
    if left > mac_i then tree:add(p.data, tvb(HEADER, left - mac_i)) end
    if mac_i > 0 then tree:add(p.mac_i, tvb(tvb:len() - mac_i, mac_i)) end
  elseif left > 0 then
    dissect_sdu(kind, tvb(HEADER), pinfo, tree, root)
  end
  return tvb:len()
end

-- PC5_DISCOVERY --------------------------------------------------------------------------------------------------------

local TYPES = { [1] = "Open", [2] = "Restricted" }
local CONTENTS = {
  [0] = "Announcement or response", [1] = "Query", [4] = "Relay announcement or response",
  [5] = "Relay solicitation", [6] = "Group member announcement or response", [7] = "Group member solicitation",
  [8] = "Relay additional information",
}
local MODELS = { [1] = "A", [2] = "B" }
local d = {
  type = ProtoField.uint8("prose.pc5d.type", "Discovery type", base.DEC, TYPES, 0xC0),
  content = ProtoField.uint8("prose.pc5d.content", "Content type", base.DEC, CONTENTS, 0x3C),
  model = ProtoField.uint8("prose.pc5d.model", "Discovery model", base.DEC, MODELS, 0x03),
  code = ProtoField.bytes("prose.pc5d.code", "ProSe code"),
  code_on_air = ProtoField.bytes("prose.pc5d.code_on_air", "Restricted code as on the air (scrambled under DUSK)"),
  service = ProtoField.uint24("prose.pc5d.relay_service_code", "Relay service code", base.HEX),
  group = ProtoField.uint24("prose.pc5d.discovery_group_id", "Discovery group ID", base.HEX),
  user = ProtoField.bytes("prose.pc5d.user_info_id", "User info ID"),
  target = ProtoField.bytes("prose.pc5d.target_user_info_id", "Target user info ID"),
  ue = ProtoField.uint24("prose.pc5d.prose_ue_id", "ProSe UE ID", base.HEX),
  status = ProtoField.uint8("prose.pc5d.status", "Status indicator", base.HEX),
  mic = ProtoField.uint32("prose.pc5d.mic", "MIC", base.HEX),
  mic_on_air = ProtoField.uint32("prose.pc5d.mic_on_air", "MIC as on the air (scrambled under DUSK)", base.HEX),
  counter = ProtoField.uint8("prose.pc5d.counter_lsb", "UTC-based counter LSB", base.HEX),
}
for _, field in pairs(d) do table.insert(pc5d.fields, field) end

-- Content type -> fields of the body with their octets; other contents are one code
local DISCOVERY_BODIES = {
  [4] = { { d.service, 3 }, { d.user, 6 }, { d.ue, 3 }, { d.status, 1 } },
  [5] = { { d.service, 3 }, { d.user, 6 }, { d.ue, 3 } },
  [6] = { { d.group, 3 }, { d.user, 6 }, { d.ue, 3 } },
  [7] = { { d.group, 3 }, { d.user, 6 }, { d.target, 6 }, { d.ue, 3 } },
}
local CODE, RESTRICTED_CODE = { { d.code, 23 } }, { { d.code_on_air, 23 } }

function pc5d.dissector(tvb, pinfo, root)
  if tvb:len() ~= 29 then return 0 end
  local tree = root:add(pc5d, tvb())
  local first = tvb(0, 1)
  tree:add(d.type, first)
  tree:add(d.content, first)
  tree:add(d.model, first)
  local content, at = first:bitfield(2, 4), 1
  local scrambled = first:bitfield(0, 2) == 2 and content < 2
  for _, field in ipairs(DISCOVERY_BODIES[content] or (scrambled and RESTRICTED_CODE or CODE)) do
    tree:add(field[1], tvb(at, field[2]))
    at = at + field[2]
  end
  tree:add(scrambled and d.mic_on_air or d.mic, tvb(24, 4))
  tree:add(d.counter, tvb(28, 1))
  pinfo.cols.protocol = "PC5-D"
  pinfo.cols.info = string.format("%s: %s, model %s%s", TYPES[first:bitfield(0, 2)] or "Reserved",
                                  CONTENTS[content] or "reserved", MODELS[first:bitfield(6, 2)] or "?",
                                  scrambled and ", scrambled" or "")
  return tvb:len()
end
