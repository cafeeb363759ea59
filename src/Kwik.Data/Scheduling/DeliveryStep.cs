namespace Kwik.Data;

/// <summary>What is done about a server that sends offered content.</summary>
public enum DeliveryStepKind
{
    /// <summary>Ask a source for a range.</summary>
    Ask,

    /// <summary>A lease has ended: stop its sender if it is still at it. What it brought in whole leaves has been taken.</summary>
    Cancel,

    /// <summary>For information: a source is silent.</summary>
    Suspect,

    /// <summary>A source is given up until it answers a probe: whoever waits is to hear of it. Its leases end by steps of their own, which follow.</summary>
    Dead,

    /// <summary>For information: a source sends again.</summary>
    Back,
}

/// <summary>Why a range is asked for.</summary>
public enum LeaseReason
{
    /// <summary>It is the next in turn.</summary>
    Next,

    /// <summary>The source that was asked is silent, and the reader waits.</summary>
    Hedge,

    /// <summary>A source with nothing to do takes over what another one would finish later.</summary>
    TakeOver,

    /// <summary>The same, below two leaves: a second copy, and the first one to come counts.</summary>
    Duplicate,

    /// <summary>To see whether a source is there again.</summary>
    Probe,
}

/// <summary>Why a lease ends.</summary>
public enum LeaseEnd
{
    /// <summary>All that is wanted of it is here and right.</summary>
    Done,

    /// <summary>Others have brought, or are to bring, all that was still wanted of it.</summary>
    Superseded,

    /// <summary>Its owner gave it back, or its source was removed.</summary>
    GivenBack,

    /// <summary>Its source was given up, or has not answered a probe.</summary>
    Silent,
}

/// <summary>One decision about who sends what of an offered content.</summary>
/// <param name="Kind">What.</param>
/// <param name="Source">Of whom, or about whom: the path; 0 is the primary.</param>
/// <param name="RequestId">The lease, for Ask and Cancel.</param>
/// <param name="Offset">Of the first byte of the lease, for Ask and Cancel.</param>
/// <param name="End">Behind the last byte that is wanted of it, for Ask and Cancel.</param>
/// <param name="Reason">For Ask.</param>
/// <param name="Why">For Cancel.</param>
public readonly record struct DeliveryStep(
    DeliveryStepKind Kind, int Source, long RequestId = 0, long Offset = 0, long End = 0, LeaseReason Reason = LeaseReason.Next,
    LeaseEnd Why = LeaseEnd.Done)
{
    /// <summary>Bytes a second that the source is taken to deliver; 0: not known yet.</summary>
    public double Rate { get; init; }

    /// <summary>Of the source, smoothed.</summary>
    public TimeSpan RoundTrip { get; init; }

    /// <summary>Bytes that the source owes after the step.</summary>
    public long Outstanding { get; init; }

    /// <summary>The server is to begin with it at once.</summary>
    public bool IsUrgent => Reason == LeaseReason.Hedge;
}
