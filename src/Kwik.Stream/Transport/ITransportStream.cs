using Kwik.Data;

namespace Kwik.Streams;

/// <summary>One stream of an <see cref="ITransportConnection"/>.</summary>
/// <remarks>
/// One reader and one writer at a time. Reads and writes take no cancellation token: cancelling either would abort that
/// direction for good, and a pending read owns the caller's buffer. Who must stop waiting waits beside the call and
/// leaves it pending; who must stop the stream aborts it. Every failure is a <see cref="KwikException"/>.
/// </remarks>
internal interface ITransportStream : IAsyncDisposable
{
    /// <summary>The QUIC stream id, the same on both sides.</summary>
    long Id { get; }

    /// <summary>True when the peer can write to us: a bidirectional stream, or a one-way stream that the peer opened.</summary>
    bool CanRead { get; }

    /// <summary>True when we can write: a bidirectional stream, or a one-way stream that we opened.</summary>
    bool CanWrite { get; }

    /// <summary>
    /// Reads at least one byte; 0 is the end. With an empty buffer completes when there is data or the end, and reads
    /// nothing.
    /// </summary>
    ValueTask<int> ReadAsync(Memory<byte> buffer);

    /// <summary>
    /// Writes all bytes; completes when the transport has taken them, which is when the buffer may be reused. With
    /// <paramref name="completeWrites"/> the bytes are the last ones.
    /// </summary>
    ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites = false);

    /// <summary>Ends our writing; the peer reads what was written, then the end. Does nothing when it has ended.</summary>
    void CompleteWrites();

    /// <summary>Asks the peer to stop sending; a pending read fails. Does nothing when reading has ended, or after disposal.</summary>
    void AbortReads(KwikError code);

    /// <summary>Resets our sending; what was not delivered is lost, a pending write fails. Does nothing after the end, or after disposal.</summary>
    void AbortWrites(KwikError code);

    /// <summary>
    /// Ends when the peer has acknowledged the end of our writing; faults when either side aborted it or the connection
    /// ended. Never cancelled. Already completed where <see cref="CanWrite"/> is false.
    /// </summary>
    Task WritesClosed { get; }
}
