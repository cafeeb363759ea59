using Kwik.Data;

namespace Kwik.Streams;

/// <summary>Which side opened a public stream.</summary>
public enum XStreamDirection
{
    /// <summary>The peer opened it: this side says what goes wrong.</summary>
    Inbound,

    /// <summary>This side opened it: it hears what goes wrong.</summary>
    Outbound,
}

/// <content>Where the stream stands.</content>
public sealed partial class KwikStream
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private XStreamState _state;
    private readonly TaskCompletionSource _nobodyReads = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private XStreamException? _writeFault;

    /// <summary>Which side opened the stream.</summary>
    public XStreamDirection Direction { get; }

    /// <summary>Where the stream stands; may be read at any time.</summary>
    public XStreamState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    /// <summary>True when nothing more will happen on this stream: FullyClosed or Error. What has arrived can still be read.</summary>
    public bool IsClosed => XStreamStates.IsFinal(State);

    /// <summary>Ends when <see cref="IsClosed"/> becomes true; with the reason when the stream failed.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Why nobody takes what is written; null while somebody may.</summary>
    private XStreamException? WriteFault
    {
        get
        {
            lock (_gate)
            {
                return _writeFault;
            }
        }
    }

    private void ThrowIfNobodyReads()
    {
        if (WriteFault is { } fault)
        {
            throw Anew(fault);
        }
    }

    /// <summary>
    /// What a call throws whose write failed with this: the first reason that is known, which is the next calls' too. That
    /// of a connection's end is the session's to say, and it does.
    /// </summary>
    private async Task<XStreamException> WhyNobodyReadsAsync(KwikException fault, CancellationToken cancellationToken)
    {
        if (fault.EndsConnection)
        {
            await Background.WaitFor(_nobodyReads).WaitAsync(cancellationToken);
        }
        else
        {
            SetWriteFault(XStreamException.ForWriter(fault, Id));
        }

        return Anew(WriteFault!);
    }

    /// <summary>A new one each time: an exception that is thrown twice tells a mixture of two stories.</summary>
    private XStreamException Anew(XStreamException fault) =>
        new(fault.Kind, fault.Code, fault.Side, fault.Message, fault.InnerException, Id);

    /// <summary>The stream cannot go on, for whoever reads, writes or waits for its offer.</summary>
    private void End(XStreamException forReader, XStreamException forWriter)
    {
        SetWriteFault(forWriter);
        FailOffer(forReader);
        Advance(XStreamInput.Fault, forReader);
    }

    private void SetWriteFault(XStreamException fault)
    {
        lock (_gate)
        {
            _writeFault ??= fault;
        }

        _nobodyReads.TrySetResult();
    }

    /// <param name="input">What happened.</param>
    /// <param name="fault">Why, for a fault.</param>
    private void Advance(XStreamInput input, XStreamException? fault = null)
    {
        XStreamState state;
        lock (_gate)
        {
            if (!XStreamStates.TryAdvance(ref _state, input))
            {
                return;
            }

            state = _state;
        }

        if (state == XStreamState.FullyClosed)
        {
            _closed.TrySetResult();
        }
        else if (state == XStreamState.Error && _closed.TrySetException(fault!))
        {
            // Nobody may be waiting; the calls on the stream throw the same.
            _ = _closed.Task.Exception;
        }
    }

    /// <summary>Notices at once when the peer no longer takes what is written, also while nobody writes. Never throws.</summary>
    private async Task WatchWritesAsync()
    {
        try
        {
            await _main.WritesClosed;
        }
        catch (KwikException e) when (e.Side == KwikErrorSide.Local || e.EndsConnection)
        {
            // Given up by this side; or the session says why, to all its streams.
        }
        catch (KwikException e)
        {
            SetWriteFault(XStreamException.ForWriter(e, Id));
            if (Direction == XStreamDirection.Outbound)
            {
                // Error says which it is.
                return;
            }

            if (e.Code == KwikError.Cancelled)
            {
                // The peer has closed the stream; what it sent before can be read.
                Advance(XStreamInput.RemoteEnd);
            }
            else
            {
                // It has given the stream up. Main says so, too, unless it had ended before.
                Fail(e);
            }
        }
    }

    /// <summary>The peer has closed the stream, or ended it with this.</summary>
    private void OnPeersEnd(KwikException? fault)
    {
        if (fault is null)
        {
            Advance(XStreamInput.RemoteEnd);
            return;
        }

        XStreamException reason = XStreamException.ForReader(fault, Id);
        Incoming.Interrupt(reason);
        End(reason, XStreamException.ForWriter(fault, Id));
        KwikError code = reason.Kind == XStreamErrorKind.Protocol ? reason.Code : KwikError.Cancelled;
        _main.AbortWrites(code);
        if (fault is XStreamException and not XStreamFaultException)
        {
            // No word of the peer's: nothing more is expected of it.
            _main.AbortReads(code);
        }
    }
}
