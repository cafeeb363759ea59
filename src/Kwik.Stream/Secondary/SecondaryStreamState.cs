namespace Kwik.Streams;

/// <summary>Where an Internal stream stands, at either of its ends.</summary>
/// <remarks>
/// <code>
///   Opening --Opened--> Active --Ended--> Closing --Finished--> Closed
///      |                   |                 |
///      +----- Failed ------+----- Failed ----+----------------> Error
/// </code>
/// Whatever else happens in a state changes nothing.
/// </remarks>
public enum SecondaryStreamState
{
    /// <summary>It is not known yet where its bytes belong.</summary>
    Opening,

    /// <summary>Bytes are placed into a public stream.</summary>
    Active,

    /// <summary>The last byte is known; the end of the stream is on its way.</summary>
    Closing,

    /// <summary>Ended as both sides wanted.</summary>
    Closed,

    /// <summary>Cut off: reset, broken a rule, too slow, or lost with its path.</summary>
    Error,
}

/// <summary>What happens to an Internal stream.</summary>
internal enum SecondaryStreamInput
{
    /// <summary>The open frame was accepted, or is about to be written.</summary>
    Opened,

    /// <summary>The close frame was read or written.</summary>
    Ended,

    /// <summary>The end of the stream was seen, or acknowledged.</summary>
    Finished,

    /// <summary>The stream cannot go on.</summary>
    Failed,
}

/// <summary>The transitions, once, for both ends.</summary>
internal static class SecondaryStreamStates
{
    /// <summary>Moves on if the diagram says so; false and no change otherwise.</summary>
    public static bool TryAdvance(ref SecondaryStreamState state, SecondaryStreamInput input)
    {
        SecondaryStreamState? next = (state, input) switch
        {
            (SecondaryStreamState.Opening, SecondaryStreamInput.Opened) => SecondaryStreamState.Active,
            (SecondaryStreamState.Active, SecondaryStreamInput.Ended) => SecondaryStreamState.Closing,
            (SecondaryStreamState.Closing, SecondaryStreamInput.Finished) => SecondaryStreamState.Closed,
            (SecondaryStreamState.Closed or SecondaryStreamState.Error, _) => null,
            (_, SecondaryStreamInput.Failed) => SecondaryStreamState.Error,
            _ => null,
        };
        state = next ?? state;
        return next is not null;
    }
}
