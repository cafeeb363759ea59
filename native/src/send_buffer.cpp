#include "send_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace kwik {

namespace {

// Copies `length` bytes from the start of a list of buffers.
void gather(std::span<const abi::Buffer> buffers, std::uint8_t* out, std::size_t skip, std::size_t length) noexcept {
    for (const abi::Buffer& buffer : buffers) {
        if (length == 0) return;
        if (skip >= buffer.length) {
            skip -= buffer.length;
            continue;
        }
        const std::size_t part = std::min<std::size_t>(buffer.length - skip, length);
        std::memcpy(out, buffer.data + skip, part);
        out += part;
        length -= part;
        skip = 0;
    }
}

std::size_t total_length(std::span<const abi::Buffer> buffers) noexcept {
    std::size_t total = 0;
    for (const abi::Buffer& buffer : buffers) total += buffer.length;
    return total;
}

constexpr std::size_t small_piece = 4096;

}  // namespace

bool SendBuffer::take_copy(std::span<const abi::Buffer> buffers, std::size_t length, std::vector<Piece>& pieces) noexcept {
    try {
        for (std::size_t done = 0; done < length;) {
            const std::size_t part = std::min(length - done, BufferPool::chunk_size);
            Piece piece{BufferPool::take(part), static_cast<std::uint32_t>(part)};
            if (!piece.memory) return false;
            gather(buffers, piece.memory.get(), done, part);
            pieces.push_back(std::move(piece));
            done += part;
        }
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

bool SendBuffer::link(std::vector<Piece>&& pieces) noexcept {
    std::size_t linked = 0;
    for (Piece& piece : pieces) {
        if (!pieces_.push_back(std::move(piece))) {
            while (linked-- > 0) pieces_.pop_back();
            return false;
        }
        ++linked;
    }
    for (std::size_t i = pieces_.size() - linked; i < pieces_.size(); ++i) copied_ += pieces_[i].length;
    return true;
}

// Under mutex_: small sends share a piece, so that a thousand short writes do not cost a thousand allocations.
bool SendBuffer::append_small(std::span<const abi::Buffer> buffers, std::size_t length) noexcept {
    if (length == 0) return true;
    if (pieces_.empty() || pieces_.back().spare() < length) {
        Piece piece{BufferPool::take(small_piece), 0};
        if (!piece.memory || !pieces_.push_back(std::move(piece))) return false;
    }
    Piece& tail = pieces_.back();
    gather(buffers, tail.memory.get() + tail.length, 0, length);
    tail.length += static_cast<std::uint32_t>(length);
    copied_ += length;
    return true;
}

SendBuffer::Posted SendBuffer::post(std::span<const abi::Buffer> buffers, bool fin, void* context, std::uint64_t budget) noexcept {
    std::lock_guard order(post_mutex_);
    const std::size_t length = total_length(buffers);
    bool copy_now;
    {
        std::lock_guard lock(mutex_);
        if (closed_) return Posted::closed;
        copy_now = outstanding_.empty() && held() < budget && length <= max_overshoot;
        if (copy_now && length <= small_piece) {
            if (!append_small(buffers, length)) return Posted::no_memory;
            fin_ = closed_ = fin;
            return Posted::complete;
        }
        if (!copy_now) {
            try {
                if (!outstanding_.push_back(Pending{{buffers.begin(), buffers.end()}, fin, context})) return Posted::no_memory;
            } catch (const std::bad_alloc&) {
                return Posted::no_memory;
            }
            closed_ = fin;
            return Posted::outstanding;
        }
    }
    std::vector<Piece> pieces;
    if (!take_copy(buffers, length, pieces)) return Posted::no_memory;
    std::lock_guard lock(mutex_);
    if (closed_) return Posted::closed;  // Aborted meanwhile.
    if (!link(std::move(pieces))) return Posted::no_memory;
    fin_ = closed_ = fin;
    return Posted::complete;
}

bool SendBuffer::finish() noexcept {
    std::lock_guard order(post_mutex_);
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    closed_ = true;
    if (completed_ == outstanding_.size()) fin_ = true;
    else outstanding_.back().fin = true;
    return true;
}

SendBuffer::Next SendBuffer::peek(ngtcp2_vec* out, std::size_t max) noexcept {
    std::lock_guard lock(mutex_);
    Next next;
    std::uint64_t end = sent_;
    std::uint32_t skip = cursor_offset_;
    for (std::size_t i = cursor_; i < pieces_.size() && next.count < max; ++i) {
        const Piece& piece = pieces_[i];
        if (piece.length > skip) {
            out[next.count++] = {piece.memory.get() + skip, piece.length - skip};
            end += piece.length - skip;
        }
        skip = 0;
    }
    next.fin = fin_ && !fin_sent_ && end == copied_;
    next.anything = next.count > 0 || next.fin;
    return next;
}

void SendBuffer::sent(std::uint64_t bytes, bool fin) noexcept {
    std::lock_guard lock(mutex_);
    sent_ += bytes;
    while (bytes > 0) {
        const std::uint32_t left = pieces_[cursor_].length - cursor_offset_;
        if (bytes < left) {
            cursor_offset_ += static_cast<std::uint32_t>(bytes);
            break;
        }
        bytes -= left;
        // The last piece may still grow by small sends, so the cursor stays at its end until another follows.
        if (cursor_ + 1 == pieces_.size()) {
            cursor_offset_ += left;
            break;
        }
        ++cursor_;
        cursor_offset_ = 0;
    }
    fin_sent_ = fin_sent_ || fin;
}

void SendBuffer::acknowledged(std::uint64_t offset) noexcept {
    std::vector<Piece> garbage;  // Returned to the pool outside of the lock.
    std::lock_guard lock(mutex_);
    acked_ = std::max(acked_, offset);
    while (!pieces_.empty() && first_ + pieces_.front().length <= acked_) {
        // A piece with nothing sent from it yet stays: it was only just made (its length may be 0).
        if (cursor_ == 0 && cursor_offset_ < pieces_.front().length) break;
        if (pieces_.front().length == 0) break;
        first_ += pieces_.front().length;
        try { garbage.push_back(std::move(pieces_.front())); } catch (const std::bad_alloc&) {}
        pieces_.pop_front();
        if (cursor_ > 0) --cursor_;
        else cursor_offset_ = 0;
    }
}

SendBuffer::Refill SendBuffer::refill(std::uint64_t budget) noexcept {
    std::lock_guard lock(mutex_);
    Refill done = Refill::nothing;
    while (completed_ < outstanding_.size()) {
        Pending& pending = outstanding_[completed_];
        const std::size_t left = total_length(pending.buffers);
        if (left > 0) {
            if (held() >= budget) return done;
            const std::size_t part = std::min(left, BufferPool::chunk_size);
            std::vector<Piece> pieces;
            if (!take_copy(pending.buffers, part, pieces) || !link(std::move(pieces))) return done == Refill::nothing && held() == 0 ? Refill::starved : done;
            done = Refill::progress;
            for (std::size_t rest = part; rest > 0;) {
                abi::Buffer& front = pending.buffers.front();
                const auto step = static_cast<std::uint32_t>(std::min<std::size_t>(front.length, rest));
                front.data += step;
                front.length -= step;
                rest -= step;
                if (front.length == 0) pending.buffers.erase(pending.buffers.begin());
            }
            if (part < left) continue;
        }
        if (pending.fin) {
            fin_ = true;
            done = Refill::progress;
        }
        ++completed_;
    }
    return done;
}

void SendBuffer::cancel() noexcept {
    std::lock_guard lock(mutex_);
    closed_ = canceled_ = true;
    completed_ = outstanding_.size();
}

bool SendBuffer::take_completed(void*& context, bool& canceled) noexcept {
    std::lock_guard lock(mutex_);
    if (completed_ == 0) return false;
    canceled = canceled_;
    context = outstanding_.front().context;
    outstanding_.pop_front();
    --completed_;
    return true;
}

void SendBuffer::clear() noexcept {
    std::lock_guard lock(mutex_);
    closed_ = true;
    pieces_.clear();
    cursor_ = 0;
    cursor_offset_ = 0;
    first_ = acked_ = sent_ = copied_;
}

bool SendBuffer::only_fin_left() noexcept {
    std::lock_guard lock(mutex_);
    return fin_ && !fin_sent_ && sent_ == copied_;
}

bool SendBuffer::is_closed() noexcept {
    std::lock_guard lock(mutex_);
    return closed_;
}

bool SendBuffer::has_outstanding() noexcept {
    std::lock_guard lock(mutex_);
    return !outstanding_.empty();
}

std::uint64_t SendBuffer::held_bytes() noexcept {
    std::lock_guard lock(mutex_);
    return held();
}

}  // namespace kwik
