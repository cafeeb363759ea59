using System.Threading.Channels;
using Kwik.Data;
using WireKind = Kwik.Data.Wire.XStreamErrorKind;

namespace Kwik.Streams;

/// <summary>
/// The end of an error substream that hears the peer: at the side that opened the public stream. Reads on its own, so that
/// a fault is known as soon as it is here.
/// </summary>
internal sealed class ErrorReader
{
    /// <summary>What the peer said and nobody has read yet; the oldest go. At most 64 KiB each.</summary>
    public const int MaxWaiting = 64;

    private readonly ITransportStream _stream;
    private readonly long _streamId;
    private readonly Action<KwikException?> _ended;
    private readonly Channel<XStreamError> _waiting =
        Channel.CreateBounded<XStreamError>(new BoundedChannelOptions(MaxWaiting) { FullMode = BoundedChannelFullMode.DropOldest });

    private readonly TaskCompletionSource _mainEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _reading = Task.CompletedTask;

    // The peer has said its last word.
    private bool _isOver;

    /// <summary>
    /// Takes over the error half, behind its header. <paramref name="ended"/> runs with null when the peer has closed the
    /// stream, and with what the stream is to end with, of which the first counts.
    /// </summary>
    public ErrorReader(ITransportStream stream, long streamId, Action<KwikException?> ended)
    {
        _stream = stream;
        _streamId = streamId;
        _ended = ended;
    }

    /// <summary>Begins to read.</summary>
    public void Start() => _reading = Background.Start(ReadAsync);

    /// <summary>The next notification or fault; null when the peer has closed the stream, or after its fault.</summary>
    /// <exception cref="XStreamException">Why nothing more comes: the peer is gone without a word or its end has failed, or
    /// this side has closed the stream.</exception>
    public async Task<XStreamError?> NextAsync(CancellationToken cancellationToken)
    {
        while (await _waiting.Reader.WaitToReadAsync(cancellationToken))
        {
            if (_waiting.Reader.TryRead(out XStreamError? next))
            {
                return next;
            }
        }

        return null;
    }

    /// <summary>
    /// Waits until the peer has said that the end of Main is the end: no fault comes any more.
    /// </summary>
    /// <exception cref="KwikException">The fault, or the peer is gone without having said anything.</exception>
    public Task ConfirmEndAsync(CancellationToken cancellationToken) => _mainEnded.Task.IsCompletedSuccessfully
        ? Task.CompletedTask
        : Background.WaitFor(_mainEnded).WaitAsync(cancellationToken);

    /// <summary>Waits until the peer has said its last, for no longer than this. Never throws.</summary>
    public Task WaitForEndAsync(TimeSpan timeout, TimeProvider time) => Background.EndsWithinAsync(() => _reading, timeout, time);

    /// <summary>Stops hearing; who waits gets this. Waits no longer than this for the peer to end its half.</summary>
    public async Task CloseAsync(XStreamException reason, TimeSpan timeout, TimeProvider time)
    {
        Disconnect(reason);
        _stream.AbortReads(KwikError.Cancelled);
        await _reading;
        await _stream.DisposeWithinAsync(timeout, time);
    }

    /// <summary>Nothing more comes, for this reason: who waits gets it.</summary>
    public void Disconnect(XStreamException reason)
    {
        Refuse(reason);
        _waiting.Writer.TryComplete(_isOver ? null : reason);
    }

    /// <summary>Nothing more comes, for this reason; what was offered ends where it ends.</summary>
    public void LosePeer(XStreamException reason)
    {
        _mainEnded.TrySetResult();
        _waiting.Writer.TryComplete(_isOver ? null : reason);
    }

    /// <summary>Never throws.</summary>
    private async Task ReadAsync()
    {
        try
        {
            await ReadFramesAsync();
            Leave(Reset("The peer left it without saying why.", null));
        }
        catch (KwikException e) when (e.Side == KwikErrorSide.Local || e.EndsConnection)
        {
            // Closed by this side, which says so; or the session says why, to all its streams.
        }
        catch (KwikException e) when (e.Code == KwikError.MetadataProtocolViolation)
        {
            _stream.AbortReads(e.Code);
            var violation = XStreamException.ForReader(e, _streamId);
            _ended(violation);
            Refuse(violation);
            _waiting.Writer.TryComplete(violation);
        }
        catch (KwikException e)
        {
            Leave(Reset(e.Message, e));
        }
    }

    /// <summary>The peer has ended the half. That is all right behind its last word, and for the data behind the end of Main.</summary>
    private void Leave(XStreamException reset)
    {
        if (!_isOver && !_mainEnded.Task.IsCompleted)
        {
            _ended(reset);
            Refuse(reset);
        }

        _waiting.Writer.TryComplete(_isOver ? null : reset);
    }

    /// <summary>Reads to the end.</summary>
    private async Task ReadFramesAsync()
    {
        var reader = new MessageReader(_stream, "error substream");
        while (await reader.ReadAsync(XStreamErrorCodec.MaxFrameSize) is { } message)
        {
            XStreamErrorFrame frame = XStreamErrorCodec.TryDecode(message) ?? throw reader.Violation("carries bytes that are no frame");
            if (_isOver)
            {
                throw reader.Violation("goes on after its last frame");
            }

            switch (frame.Kind)
            {
                case WireKind.XstreamNotification:
                    _waiting.Writer.TryWrite(Read(frame));
                    break;
                case WireKind.XstreamFault:
                    // Ends the stream now; the end of this half is not waited for.
                    _isOver = true;
                    OnFault(frame);
                    break;
                case WireKind.XstreamMainEnded:
                    _mainEnded.TrySetResult();
                    break;
                case WireKind.XstreamNoError:
                    _isOver = true;
                    _ended(null);
                    _mainEnded.TrySetResult();
                    break;
            }
        }
    }

    /// <summary>The end of Main is none.</summary>
    private void Refuse(XStreamException fault)
    {
        if (_mainEnded.TrySetException(fault))
        {
            // Nobody may be waiting.
            _ = _mainEnded.Task.Exception;
        }
    }

    private XStreamException Reset(string why, KwikException? cause) => new(
        XStreamErrorKind.ConnectionReset,
        cause?.Code ?? KwikError.Cancelled,
        cause?.Side ?? KwikErrorSide.Remote,
        $"The error substream of stream {_streamId} has ended. {why}",
        cause,
        _streamId);

    private void OnFault(XStreamErrorFrame frame)
    {
        if (frame.KwikError != 0)
        {
            // Not the application's word: its end of the stream failed.
            KwikError code = KwikErrors.FromWire(frame.KwikError);
            var failure = new KwikException(code, KwikErrorSide.Remote, $"Stream {_streamId} failed at the peer: {code}.", streamId: _streamId);
            XStreamException reason = XStreamException.ForReader(failure, _streamId);
            _ended(failure);
            Refuse(reason);
            _waiting.Writer.TryComplete(reason);
            return;
        }

        XStreamError said = Read(frame);
        var fault = new XStreamFaultException(said, KwikError.StreamFault, _streamId);
        _ended(fault);
        Refuse(fault);
        // Last: who reads the error finds the stream ended.
        _waiting.Writer.TryWrite(said);
    }

    private static XStreamError Read(XStreamErrorFrame frame) => new(
        frame.Kind == WireKind.XstreamFault, frame.Code, frame.Message, frame.Details, (long)Math.Min(frame.Sequence, long.MaxValue));
}
