// Three functions of ngtcp2 that its header does not show. They are why the library is linked statically: they exist, with these signatures, in the archives of 0.12.1 and of 1.11 to 1.25.
//
// ngtcp2 0.12.1 closes a stream when both directions are finished and our last byte was acknowledged, and it never sees the latter on a one-way stream of the peer: such streams stay in
// memory, 400 bytes each and more, as long as the connection. Closing them by hand is the remedy; it runs ngtcp2's own close with all its bookkeeping.
// Version 1 closes them itself, but for those that a RESET_STREAM opened.
#pragma once

#include "quic_api.h"

extern "C" {
struct ngtcp2_strm;
// nullptr if there is no such stream (any more).
ngtcp2_strm* ngtcp2_conn_find_stream(ngtcp2_conn* conn, int64_t stream_id);
// Calls stream_close and frees the stream. Not inside a callback of ngtcp2. 0, or the failure of the callback.
int ngtcp2_conn_close_stream(ngtcp2_conn* conn, ngtcp2_strm* stream);
// Nonzero when all bytes and FIN were acknowledged.
int ngtcp2_strm_is_all_tx_data_fin_acked(ngtcp2_strm* stream);
}
