using System.Runtime.CompilerServices;
using Kwik.Data;

namespace Kwik.Streams;

/// <content>The error substream.</content>
public sealed partial class KwikStream
{
    /// <summary>
    /// On the side that opened the stream: the next notification or fault of the peer's application; null when it has
    /// closed the stream without one. Of those that nobody reads the last 64 are kept.
    /// </summary>
    /// <exception cref="InvalidOperationException">The peer opened this stream.</exception>
    /// <exception cref="XStreamException">ConnectionReset: the peer is gone without having said anything. StreamClosed: this side
    /// has closed the stream. Else why the peer's end of it failed.</exception>
    public Task<XStreamError?> ReadErrorAsync(CancellationToken cancellationToken = default) => Hears().NextAsync(cancellationToken);

    /// <summary>All that <see cref="ReadErrorAsync"/> gives, to the end.</summary>
    /// <inheritdoc cref="ReadErrorAsync" path="/exception"/>
    public async IAsyncEnumerable<XStreamError> ReadErrorsAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (await Hears().NextAsync(cancellationToken) is { } next)
        {
            yield return next;
        }
    }

    /// <summary>
    /// On the side that did not open the stream: tells the peer's application something, and goes on. Returns when the
    /// transport has taken it.
    /// </summary>
    /// <param name="message">For people. With <paramref name="details"/> at most 64 KiB less 64 bytes.</param>
    /// <param name="code">Of the application.</param>
    /// <param name="details">Opaque.</param>
    /// <param name="cancellationToken">Stops waiting; what was said is said.</param>
    /// <exception cref="InvalidOperationException">This side opened the stream.</exception>
    /// <exception cref="XStreamException">BrokenPipe: either side has closed the stream.</exception>
    /// <exception cref="KwikException">LimitExceeded: too long; nothing was said.</exception>
    public Task NotifyErrorAsync(
        string message, ulong code = 0, ReadOnlyMemory<byte> details = default, CancellationToken cancellationToken = default) =>
        SayAsync(isFault: false, message, code, details, Task.CompletedTask, cancellationToken);

    /// <summary>
    /// On the side that did not open the stream: ends it with an error. The peer's pending and later calls fail with it,
    /// before what it has not read yet; the bytes that were written before are still there for its
    /// <see cref="ReadRestAfterErrorAsync"/>.
    /// </summary>
    /// <inheritdoc cref="NotifyErrorAsync" path="/param"/>
    /// <inheritdoc cref="NotifyErrorAsync" path="/exception"/>
    public async Task WriteErrorAsync(
        string message, ulong code = 0, ReadOnlyMemory<byte> details = default, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        // It goes out after the stream has ended here: the peer's answer is not to be taken for the cause.
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task saying = SayAsync(isFault: true, message, code, details, ended.Task, CancellationToken.None);
        if (saying.IsCompleted)
        {
            // Refused.
            await saying;
        }

        var fault = new XStreamException(
            XStreamErrorKind.StreamClosed, KwikError.StreamFault, KwikErrorSide.Local, $"This side ended stream {Id} with an error: {message}", streamId: Id);
        Incoming.Discard(fault);
        End(fault, XStreamException.ForWriter(fault, Id));
        ended.SetResult();
        if (TryEnterWrite())
        {
            if (!_writesCompleted)
            {
                FinishWrites(WrittenEnd);
            }

            Volatile.Write(ref _writing, 0);
        }
        else
        {
            // A write is blocked: what it holds is lost, and its caller learns it.
            _main.AbortWrites(KwikError.StreamFault);
        }

        // Not as a close would: the peer's application is to hear of the error.
        _main.AbortReads(KwikError.StreamFault);
        await saying.WaitAsync(cancellationToken);
    }

    /// <summary>
    /// After a fault of the peer: the bytes that had arrived before it, then 0. Waits for nothing.
    /// </summary>
    /// <exception cref="InvalidOperationException">There was no fault, or another read is pending.</exception>
    public ValueTask<int> ReadRestAfterErrorAsync(Memory<byte> buffer) => Incoming.ReadRestAsync(buffer);

    private ErrorReader Hears()
    {
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        return _errorReader ?? throw new InvalidOperationException($"The peer opened stream {Id}: it hears errors, this side says them.");
    }

    private async Task SayAsync(
        bool isFault, string message, ulong code, ReadOnlyMemory<byte> details, Task after, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (_errorWriter is null)
        {
            throw new InvalidOperationException($"This side opened stream {Id}: it hears errors, the peer says them.");
        }

        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        cancellationToken.ThrowIfCancellationRequested();
        ThrowIfNobodyReads();
        try
        {
            if (!await _errorWriter.SayAsync(isFault, code, message, details, after).AsTask().WaitAsync(cancellationToken))
            {
                ThrowIfNobodyReads();
                throw new XStreamException(
                    XStreamErrorKind.BrokenPipe, KwikError.Cancelled, KwikErrorSide.Local, $"Stream {Id} was closed.", streamId: Id);
            }
        }
        catch (KwikException e) when (e.Code != KwikError.LimitExceeded && e is not XStreamException)
        {
            throw await WhyNobodyReadsAsync(e, cancellationToken);
        }
    }
}
