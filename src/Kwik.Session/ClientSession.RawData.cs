using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

// Raw data between the primary and a secondary passes through here, and is shown to nobody.
public sealed partial class ClientSession
{
    /// <summary>Takes a frame that is to be carried from one server to another; false for every other frame.</summary>
    private bool TryTakeRawData(KwikPath from, ControlFrame frame)
    {
        switch (frame.BodyCase)
        {
            case ControlFrame.BodyOneofCase.RawData:
                Carry(from, frame.RawData);
                return true;
            case ControlFrame.BodyOneofCase.RawDataRefused:
                Carry(from, frame.RawDataRefused);
                return true;
            default:
                return false;
        }
    }

    private void Carry(KwikPath from, RawData raw)
    {
        if (raw.Data.Length is 0 or > RawDataInbox.MaxSize)
        {
            throw RawDataViolation(from, $"sent raw data of {raw.Data.Length} bytes");
        }

        KwikPath? to = Across(from, raw.PathId, out uint pathId);
        var carried = new ControlFrame { RawData = new RawData { PathId = pathId, Id = raw.Id, Data = raw.Data } };
        KwikError refused = to is null ? KwikError.PathLost
            : to.TryCarry(carried) ? KwikError.None
            : KwikError.LimitExceeded;
        if (refused != KwikError.None)
        {
            from.Control.Send(new ControlFrame
            {
                RawDataRefused = new RawDataRefused { PathId = raw.PathId, Id = raw.Id, ErrorCode = (ulong)refused },
            });
        }
    }

    private void Carry(KwikPath from, RawDataRefused refused)
    {
        KwikPath? to = Across(from, refused.PathId, out uint pathId);
        // To the primary it is this client that refuses: what a secondary makes up would end the whole session.
        if (from.Role == ServerRole.Secondary && (refused.Id == 0 || refused.Id > from.HighestCarried))
        {
            throw RawDataViolation(from, $"refused raw data {refused.Id}, which was not carried to it");
        }

        // The frames of all secondaries count as this client's at the primary. What is too many is dropped: nobody waits for it.
        if (to?.CarryBudget.TryTake() == true)
        {
            to.Control.Send(new ControlFrame
            {
                RawDataRefused = new RawDataRefused { PathId = pathId, Id = refused.Id, ErrorCode = refused.ErrorCode },
            });
        }
    }

    /// <summary>
    /// The path to the server that is meant, null while it does not serve, and how that server knows the secondary's path:
    /// the primary by its number, the secondary by the connection.
    /// </summary>
    private KwikPath? Across(KwikPath from, uint pathId, out uint pathIdThere)
    {
        if (from.Role == ServerRole.Primary)
        {
            pathIdThere = 0;
            return _paths.FindServing(pathId is > 0 and <= int.MaxValue
                ? (int)pathId
                : throw RawDataViolation(from, $"named path {pathId}"));
        }

        pathIdThere = (uint)from.Id;
        return pathId == 0 ? _primary : throw RawDataViolation(from, $"named path {pathId}");
    }

    private static KwikException RawDataViolation(KwikPath from, string what) => new(
        KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"Path {from.Id} {what}.", pathId: from.Id);
}
